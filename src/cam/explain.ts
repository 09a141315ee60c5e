import { expectBoolean, expectFunction, expectInteger, expectNumber, optionsOf, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { inEvaluation, Module } from "../nn/index.ts";
import type { Registry } from "../registry.ts";
import { autocast, enableGrad, noGrad, stack, type Tensor, tidy } from "../tensor/index.ts";
import { expectShapes, isTensor, upcastHalf } from "../tensor/internal.ts";
import type { MethodName } from "./description.ts";
import { mapOfTerms } from "./gradient-methods.ts";
import { METHOD_REGISTRY, methodIn, type NamedMethod } from "./methods.ts";
import { CONVENTIONS, type Convention, SCALING, scaleMaps } from "./normalize.ts";
import type { ExplainOptions, MethodSettings } from "./options.ts";
import { forwardPass, layerGradients, layersOf, type Pass, type TargetLayer } from "./pass.ts";
import { explainingInPlace } from "./recorded-forward.ts";
import { readTargets, type Target, type Targets } from "./targets.ts";

export interface Explanation<Maps = Tensor> {
  /**
   * The maps, (B, H, W) in [0, 1], or (B, C, H, W) for targets "all". For several methods, an object with one such
   * tensor for each name.
   */
  maps: Maps;
  /** (B, C), before softmax */
  logits: Tensor;
  /** (B), int64: the explained class of each sample; null if the targets are "all" or a function. */
  targets: Tensor | null;
  /** Paths of the target layers; empty for methods that use no layer. */
  layers: string[];
}

interface Request {
  model: Module;
  methods: readonly NamedMethod[];
  layers: readonly (readonly [string, Module])[];
  options: ExplainOptions;
  createGraph: boolean;
  convention: Convention;
}

/**
 * Computes maps that explain a model's logits for images (B, C, H, W), which must be normalised as the model expects. Several methods
 * share one forward pass. `METHODS` lists the methods; the formula of each is at its function.
 *
 * Each raw map is resized bilinearly to the image and scaled to [0, 1]; a map without positive values is zero. The model runs in
 * evaluation mode. Parameters, `.grad`, modes, batch-norm statistics and the random generator do not change, even if the function throws.
 * Under `autocast` the network computes in 16 bits and the maps in 32.
 *
 * @example
 * const { maps } = explain(model, images, { method: "LayerCAM", targets: labels });
 * const { maps: each } = explain(model, images, { method: ["GradCAM", "ScoreCAM"] });  // each.GradCAM, each.ScoreCAM
 *
 * @throws E_CONFIG for an unknown method or layer, with the nearest name, or a layer without a spatial output; E_SHAPE for a wrong number
 * of targets, or images that the model cannot take; E_ARGUMENT for a target out of range or an option that the method does not support
 */
export function explain(
  model: Module,
  x: Tensor,
  options?: ExplainOptions & { method?: MethodName | (string & {}) },
): Explanation;
export function explain<const Name extends MethodName | (string & {})>(
  model: Module,
  x: Tensor,
  options: ExplainOptions & { method: readonly Name[] },
): Explanation<MapsOf<Name>>;
export function explain(
  model: Module,
  x: Tensor,
  options: ExplainOptions & { method?: string | readonly string[] } = {},
): Explanation<Tensor | MapsByMethod> {
  return explainBy(METHOD_REGISTRY, model, x, options);
}

/**
 * The maps of several methods by the names that were given. The type has only the names that are spelt as in `METHODS`.
 */
export type MapsOf<Name extends string> = [Name] extends [MethodName]
  ? Record<Name, Tensor>
  : Partial<Record<MethodName, Tensor>>;

/** `explain` with a registry of methods. */
export function explainBy(
  known: Registry<NamedMethod>,
  model: Module,
  x: Tensor,
  options: ExplainOptions & { method?: string | readonly string[] },
): Explanation<Tensor | MapsByMethod> {
  if (!(model instanceof Module)) throw wrongArgument("explain: model", "a Module", model);
  const { method = "GradCAM", ...rest } = optionsOf("explain", options, OPTIONS);
  expectImages(x);
  const methods = checkedMethods(known, method);
  checkOptions(rest, methods);
  const createGraph = rest.createGraph ?? false;
  return inEvaluation(model, () =>
    tidy(() => {
      const layers = methods.every(({ kind }) => kind === "image") ? [] : layersOf(model, x, rest);
      const convention = rest.convention ?? "batch-cam";
      const request = { model, methods, layers, options: rest, createGraph, convention };
      const record = createGraph ? enableGrad : noGrad;
      const { maps, ...others } = record(() => smoothed(request, x));
      return { ...others, maps: typeof method === "string" ? (maps[methods[0]?.name ?? ""] as Tensor) : maps };
    }),
  );
}

type MapsByMethod = Record<string, Tensor>;

/** The maps of the images, or with `augSmooth` the mean of the maps of six variants of the images. */
function smoothed(request: Request, x: Tensor): Explanation<MapsByMethod> {
  const { targets = "prediction", augSmooth = false } = request.options;
  const once = (images: Tensor, wanted: Targets) =>
    explainingInPlace(request.model, () => explainOnce(request, images, wanted));
  const plain = once(x, targets);
  if (!augSmooth) return plain;
  // All variants explain the class that was chosen for the original image.
  const fixed = plain.targets ?? targets;
  const sums = { ...plain.maps };
  for (const { mirrored, factor } of VARIANTS) {
    const variant = (mirrored ? x.flip([3]) : x).mul(factor);
    const { maps } = tidy(() => once(variant, fixed));
    for (const [name, map] of Object.entries(maps))
      sums[name] = (sums[name] as Tensor).add(mirrored ? map.flip([-1]) : map);
  }
  const count = VARIANTS.length + 1;
  const means = Object.entries(sums).map(([name, sum]) => [name, sum.div(count)]);
  return { ...plain, maps: Object.fromEntries(means) };
}

/** The variants other than the original image. */
const VARIANTS = [0.9, 1, 1.1]
  .flatMap((factor) => [false, true].map((mirrored) => ({ mirrored, factor })))
  .filter(({ mirrored, factor }) => mirrored || factor !== 1);

function explainOnce(request: Request, x: Tensor, wanted: Targets): Explanation<MapsByMethod> {
  const { model, methods, layers, createGraph, options } = request;
  const gradients = methods.some((method) => method.kind === "layer" && method.needsGradients);
  const record = createGraph ? "everything" : gradients ? "behind the layers" : "nothing";
  const pass = forwardPass(model, x, { layers, record, reshapeTransform: options.reshapeTransform });
  const targets = readTargets("explain", wanted, pass.logits);
  const byTarget = targets.map((target) => tidy(() => mapsOfTarget(request, pass, target)));
  const join = (name: string) => {
    const maps = byTarget.map((found) => found[name] as Tensor);
    return wanted === "all" ? stack(maps, 1) : (maps[0] as Tensor);
  };
  return {
    maps: Object.fromEntries(methods.map(({ name }) => [name, join(name)])),
    logits: createGraph ? pass.logits : pass.logits.detach(),
    targets: wanted === "all" ? null : ((targets[0] as Target).classes?.clone() ?? null),
    layers: layers.map(([path]) => path),
  };
}

function mapsOfTarget(request: Request, pass: Pass, target: Target): MapsByMethod {
  let gradients: Tensor[] | undefined;
  const gradientOf = (layer: TargetLayer): Tensor => {
    gradients ??= layerGradients(pass, target, request.createGraph);
    return gradients[pass.layers.indexOf(layer)] as Tensor;
  };
  const maps = request.methods.map((method) => [method.name, mapOf(request, method, { pass, target, gradientOf })]);
  return Object.fromEntries(maps);
}

interface Scene {
  pass: Pass;
  target: Target;
  gradientOf(layer: TargetLayer): Tensor;
}

function mapOf({ options, createGraph, convention }: Request, method: NamedMethod, scene: Scene): Tensor {
  const { pass, target } = scene;
  const { relu = true, eigenSmooth = false, upsample, normalize = true } = options;
  const size = pass.x.sizes.slice(2) as [number, number];
  const common = { target, settings: options, createGraph };
  const scaling = { convention, size, upsample, normalize: normalize === true ? SCALING[convention] : normalize };
  if (method.kind === "image") {
    const map = method.map(pass, common);
    const unsigned = relu && method.signed ? map.abs() : map;
    return autocast({ enabled: false }, () => scaleMaps([unsigned], { ...scaling, relu: false, dtype: map.dtype }));
  }
  const layers = pass.layers.map((layer) => {
    const activations = upcastHalf(createGraph ? layer.activations : layer.activations.detach());
    const gradients = method.kind === "layer" && method.needsGradients ? scene.gradientOf(layer) : activations;
    const terms =
      method.kind === "layer"
        ? method.terms({ activations, gradients }, convention)
        : method.terms(pass, layer, { ...common, convention });
    return { activations, terms };
  });
  const project = eigenSmooth || (method.kind === "layer" && method.projects === true);
  return mapOfTerms(layers, { ...scaling, relu, project, dtype: (layers[0]?.activations ?? pass.x).dtype });
}

const OPTIONS = [
  "method",
  ...(["targets", "layer", "layers", "reshapeTransform", "relu", "upsample", "normalize", "augSmooth"] as const),
  ...(["eigenSmooth", "convention", "createGraph", "samples", "noise", "steps", "baseline", "seed"] as const),
  ...(["chunkSize", "memoryLimit"] as const),
] as const;

function expectImages(x: Tensor): void {
  expectShapes("explain", { x: [x, "B C H W"] });
  if (x.numel === 0) throw new BatchCamError("E_SHAPE", `explain: x has no images, got [${x.shape.join(", ")}]`);
  if (!x.dtype.includes("float"))
    throw new BatchCamError(
      "E_DTYPE",
      `explain: x must have a floating-point dtype, as the model expects, got ${x.dtype}`,
    );
}

function checkedMethods(known: Registry<NamedMethod>, method: string | readonly string[]): NamedMethod[] {
  const names = Array.isArray(method) ? (method as readonly string[]) : [method as string];
  if (names.length === 0) throw wrongArgument("explain: method", "at least one method", method);
  return [...new Set(names.map((name) => methodIn(known, name)))];
}

function checkSettings(settings: MethodSettings): void {
  const { samples, noise, steps, seed, chunkSize, memoryLimit } = settings;
  for (const [name, value] of Object.entries({ samples, steps, chunkSize }))
    if (value !== undefined) expectInteger(`explain: ${name}`, value, 1);
  if (noise !== undefined && !isTensor(noise))
    expectNumber("explain: noise", noise, "be a number >= 0", (n) => n >= 0 && n < Infinity);
  if (seed !== undefined) expectInteger("explain: seed", seed, 0);
  if (memoryLimit !== undefined) expectNumber("explain: memoryLimit", memoryLimit, "be a number > 0", (n) => n > 0);
}

function checkOptions(options: ExplainOptions, methods: readonly NamedMethod[]): void {
  checkSettings(options);
  const { relu, augSmooth, eigenSmooth, createGraph, convention, reshapeTransform } = options;
  for (const [name, value] of Object.entries({ relu, augSmooth, eigenSmooth, createGraph }))
    if (value !== undefined) expectBoolean(`explain: ${name}`, value);
  expectUpsample(options.upsample);
  if (reshapeTransform !== undefined) expectFunction("explain: reshapeTransform", reshapeTransform);
  if (convention !== undefined && !CONVENTIONS.includes(convention))
    throw wrongArgument("explain: convention", CONVENTIONS.map((name) => `"${name}"`).join(", "), convention);
  for (const method of methods) {
    const { name } = method;
    if (createGraph === true && method.kind === "probing" && !method.differentiable)
      throw misfit(name, "createGraph", "its weights come from forward passes alone and have no gradient");
    if (eigenSmooth === true && method.kind === "image")
      throw misfit(name, "eigenSmooth", "it does not use the channels of a layer");
    if (reshapeTransform !== undefined && method.kind === "probing" && method.replacesOutput)
      throw misfit(name, "reshapeTransform", "it removes channels from the layer's own output (B, K, h, w)");
  }
}

/** Sizes larger than those of any real image are refused, because the engine would run out of memory. */
const MOST_PIXELS = 16384;

function expectUpsample(upsample: unknown): void {
  if (upsample === undefined || typeof upsample === "boolean") return;
  const isSide = (side: unknown) => Number.isInteger(side) && (side as number) > 0 && (side as number) <= MOST_PIXELS;
  if (Array.isArray(upsample) && upsample.length === 2 && upsample.every(isSide)) return;
  throw wrongArgument("explain: upsample", `true, false or [height, width], 1 to ${MOST_PIXELS}`, upsample);
}

function misfit(method: string, option: string, reason: string): BatchCamError {
  return new BatchCamError("E_ARGUMENT", `explain: ${method} does not support ${option}: ${reason}`);
}
