import {
  callSync,
  describeValue,
  expectFunction,
  expectMap,
  itemsOf,
  objectOf,
  optionsOf,
  wrongArgument,
} from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { noGrad, randn, randperm, type Tensor, tidy } from "../tensor/index.ts";
import { expectShapes, expectTensor, OwnGenerator } from "../tensor/internal.ts";
import { pearson, spearman } from "./correlation.ts";
import { expectPixels } from "./maps.ts";

/** The part of a model that this check needs: named parameters, which it overwrites in place and restores. */
export interface Randomisable {
  namedParameters(): Map<string, Tensor>;
}

/** Returns new values for a parameter, with its shape. Random numbers that it draws come from the seed of the check. */
export type Reinitialise = (parameter: Tensor, name: string) => Tensor;

export interface RandomisationOptions {
  /**
   * Layers in the order in which they are randomised. A parameter belongs to the layer "fc" if its name is "fc" or
   * begins with "fc.". The default is every layer with parameters, starting from the last.
   */
  layers?: readonly string[];
  /** "cascade" (default) keeps the preceding layers randomised; "independent" restores them. */
  mode?: "cascade" | "independent";
  /**
   * "normal" (default) draws from a normal distribution with the mean and standard deviation of the parameter;
   * "permute" shuffles its values.
   */
  reinitialise?: "normal" | "permute" | Reinitialise;
  seed?: number;
}

export interface RandomisedLayer {
  layer: string;
  /** (N), float64: Spearman's rank correlation with the maps of the original model; NaN if a map is constant. */
  spearman: Tensor;
  /** (N), float64: Pearson's correlation with the maps of the original model. */
  pearson: Tensor;
}

/**
 * Parameter-randomisation check: the similarity of a model's maps before and after its layers are re-initialised, from
 * the last layer to the first. An explanation that depends on what the model learned loses its similarity. One that
 * stays similar depends on the image alone, like an edge detector.
 *
 * The parameters are copied first and overwritten in place. They are restored bit for bit when the check returns or
 * throws, whatever `explain` did to them. Buffers, such as running statistics, are not changed, so the model should be
 * in evaluation mode. A parameter with equal values (such as a bias of zeros) is not changed by "normal" or "permute".
 *
 * Given the same new weights this equals MPRT of Quantus, except that `reset_parameters` of batch norm, which Quantus
 * calls, also resets the running statistics. For similarity by SSIM use the functions in losses.
 *
 * Source: Adebayo et al., Sanity checks for saliency maps, 2018.
 *
 * @param explain returns the maps (N, H, W) of the same images and classes by the model in its present state
 * @example const rows = parameterRandomisation(model, () => explain(model, images, { method: "GradCAM", targets
 *   }).maps);
 */
export function parameterRandomisation(
  model: Randomisable,
  explain: () => Tensor,
  options: RandomisationOptions = {},
): RandomisedLayer[] {
  const known = ["layers", "mode", "reinitialise", "seed"] as const;
  const given = optionsOf("parameterRandomisation", options, known);
  const { layers, mode = "cascade", reinitialise = "normal", seed = 0 } = given;
  expectFunction("parameterRandomisation: explain", explain);
  if (mode !== "cascade" && mode !== "independent")
    throw wrongArgument("parameterRandomisation: mode", '"cascade" or "independent"', mode);
  const draw = drawOf(reinitialise);
  using generator = new OwnGenerator("parameterRandomisation", seed);
  return tidy(() => {
    const parameters = parametersOf(model);
    const order = layers === undefined ? layersOf(parameters) : readLayers(layers, parameters);
    const copies = new Map(Array.from(parameters, ([name, parameter]) => [name, parameter.clone()]));
    const restore = () => overwrite(parameters, copies);
    try {
      const unbroken = mapsOf(explain).clone(); // copied, because the next call may reuse their memory
      return order.map((layer) => {
        if (mode === "independent") restore();
        randomise(layer, parameters, (parameter, name) => generator.draw(() => draw(parameter, name)));
        return tidy(() => {
          const maps = mapsOf(explain, unbroken);
          return { layer, spearman: spearman(unbroken, maps), pearson: pearson(unbroken, maps) };
        });
      });
    } finally {
      restore();
    }
  });
}

function overwrite(parameters: ReadonlyMap<string, Tensor>, values: ReadonlyMap<string, Tensor>): void {
  noGrad(() => {
    for (const [name, value] of values) parameters.get(name)?.copy_(value);
  });
}

const belongs = (name: string, layer: string) => name === layer || name.startsWith(`${layer}.`);

function randomise(layer: string, parameters: ReadonlyMap<string, Tensor>, draw: Reinitialise): void {
  for (const [name, parameter] of parameters) {
    if (!belongs(name, layer)) continue;
    tidy(() => {
      const place = `parameterRandomisation: what reinitialise returned for ${name}`;
      const values = callSync("parameterRandomisation", () => noGrad(() => draw(parameter, name)));
      expectTensor(values, place);
      if (values.sizes.join() !== parameter.sizes.join())
        throw new BatchCamError("E_SHAPE", `${place} must be [${parameter.shape}], got [${values.shape}]`);
      overwrite(parameters, new Map([[name, values]]));
    });
  }
}

function drawOf(reinitialise: unknown): Reinitialise {
  if (typeof reinitialise === "function") return reinitialise as Reinitialise;
  if (reinitialise === "normal")
    return (parameter) =>
      randn(parameter.shape)
        .to(parameter.dtype)
        .mul(parameter.std(undefined, { correction: 0 }))
        .add(parameter.mean());
  if (reinitialise === "permute") {
    return (parameter) => {
      const flat = parameter.reshape([-1]);
      return flat.indexSelect(0, randperm(flat.numel)).reshape(parameter.shape);
    };
  }
  throw wrongArgument("parameterRandomisation: reinitialise", '"normal", "permute" or a function', reinitialise);
}

/** Detached handles to the parameters, which share their memory. */
function parametersOf(model: Randomisable): Map<string, Tensor> {
  objectOf("parameterRandomisation: model", model);
  expectFunction("parameterRandomisation: model.namedParameters", model.namedParameters);
  const parameters = model.namedParameters();
  expectMap("parameterRandomisation: what model.namedParameters returned", parameters);
  if (parameters.size === 0)
    throw new BatchCamError("E_ARGUMENT", "parameterRandomisation: the model has no parameter to randomise");
  const own = new Map<string, Tensor>();
  for (const [name, parameter] of parameters) {
    if (typeof name !== "string") throw wrongArgument("parameterRandomisation: parameter's name", "a string", name);
    expectTensor(parameter, `parameterRandomisation: ${name}`);
    own.set(name, parameter.detach());
  }
  return own;
}

/**
 * Names of the modules that own parameters, last first. "fc.weight" belongs to "fc", and a parameter "scale" of the
 * model itself to "scale".
 */
function layersOf(parameters: ReadonlyMap<string, Tensor>): string[] {
  const owners = Array.from(parameters.keys(), (name) => name.replace(/\.[^.]*$/, ""));
  return [...new Set(owners)].reverse();
}

function readLayers(layers: Iterable<string>, parameters: ReadonlyMap<string, Tensor>): string[] {
  const names = itemsOf("parameterRandomisation: layers", layers, "a list of layers' names");
  if (names.length === 0) throw new BatchCamError("E_ARGUMENT", "parameterRandomisation: layers name no layer");
  for (const layer of names) {
    if (typeof layer === "string" && Array.from(parameters.keys()).some((name) => belongs(name, layer))) continue;
    const known = layersOf(parameters);
    const list = known.length > 8 ? `${known.slice(0, 8).join(", ")}, ...` : known.join(", ");
    throw new BatchCamError(
      "E_ARGUMENT",
      `parameterRandomisation: no parameter of the model belongs to layer ${describeValue(layer)}; its layers are ${list}`,
    );
  }
  return names;
}

function mapsOf(explain: () => Tensor, unbroken?: Tensor): Tensor {
  const maps = callSync("parameterRandomisation", explain);
  const place = "the maps that explain returned";
  const before = unbroken === undefined ? {} : { "the first maps": [unbroken, "N H W"] as const };
  expectShapes("parameterRandomisation", { ...before, [place]: [maps, "N H W"] });
  expectPixels("parameterRandomisation", place, maps);
  return maps.detach();
}
