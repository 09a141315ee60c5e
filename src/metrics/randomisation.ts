import { describeValue, expectFunction, expectMap, itemsOf, objectOf, optionsOf, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { noGrad, randn, randperm, type Tensor, tidy } from "../tensor/index.ts";
import { callSync, expectShapes, handleOf, OwnGenerator } from "../tensor/internal.ts";
import { pearson, spearman } from "./correlation.ts";
import { expectPixels } from "./maps.ts";

/** A model as far as this check knows it: weights under their names, which it overwrites in place and puts back. */
export interface Randomisable {
  namedParameters(): Map<string, Tensor>;
}

/** New values of a parameter, of its shape. What it draws comes from the check's own seed. */
export type Reinitialise = (parameter: Tensor, name: string) => Tensor;

export interface RandomisationOptions {
  /**
   * Layers in the order in which they are randomised; a parameter belongs to "fc" if its name is "fc" or begins with "fc.". By
   * default every layer that has parameters, the last one first.
   */
  layers?: readonly string[];
  /** "cascade" leaves the layers before randomised, "independent" puts them back. */
  mode?: "cascade" | "independent";
  /** "normal" draws from a normal distribution of the parameter's own mean and deviation, "permute" shuffles its values. */
  reinitialise?: "normal" | "permute" | Reinitialise;
  seed?: number;
}

export interface RandomisedLayer {
  layer: string;
  /** (N), float64: rank correlation of the maps with those of the unbroken model; NaN where a map is constant. */
  spearman: Tensor;
  /** (N), float64: Pearson's correlation. */
  pearson: Tensor;
}

/**
 * Parameter-randomisation check: the maps' similarity to themselves after layers of the model have been re-initialised, from
 * the top down. An explanation that depends on what the model has learned loses it; one that stays similar shows edges.
 *
 * The parameters are copied first, overwritten in place, and have their own values again, bit for bit, when the check returns
 * or throws, whatever `explain` did to them. Buffers, such as running statistics, are not touched: keep the model in evaluation
 * mode. A parameter whose values are all equal (a bias of zeros) stays as it is with both "normal" and "permute".
 *
 * Given the same new weights this is MPRT of Quantus, but that its `reset_parameters` of a batch norm resets the running
 * statistics too. Adebayo et al., Sanity checks for saliency maps, 2018. Similarity by SSIM: see losses.
 *
 * @param explain gives the maps (N, H, W) of the same images by the model as it then is, for classes that do not change
 * @example
 * const rows = parameterRandomisation(model, () => explain(model, images, { method: "GradCAM", targets }).maps);
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
      const unbroken = mapsOf(explain).clone(); // they may be of memory that the next call writes to
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
      handleOf(values, place);
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

/** The parameters by handles of this check's own, outside any graph, on the same memory. */
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
    handleOf(parameter, `parameterRandomisation: ${name}`);
    own.set(name, parameter.detach());
  }
  return own;
}

/** The modules that own parameters, the last first: "fc.weight" belongs to "fc", "scale" to itself. */
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
