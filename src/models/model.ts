import { describeValue, optionsOf, wrongArgument } from "../arguments.ts";
import { hint } from "../config/internal.ts";
import { counted } from "../counted.ts";
import { BatchCamError } from "../errors.ts";
import { inEvaluation, Module, type TappedForward } from "../nn/index.ts";
import { noGrad, type Tensor, tidy, zeros } from "../tensor/index.ts";

/** The layers between the maps of a network's `camLayer` and its logits; see `CamHead` of batch-cam/cam. */
export interface ClosedFormHead {
  /** Path of the linear layer that reads the maps, either their global average or the flattened maps. */
  readonly layer: string;
  readonly weight: Tensor;
  /** Weight of the last linear layer, which reads the first one's output after a ReLU; left out if the first layer gives the logits. */
  readonly readout?: Tensor;
}

/** Takes a layer's output, which is not in the layout of maps, to maps (N, C, h, w). */
export type MapTransform = ((output: Tensor) => Tensor) & {
  /** Dimension of the output that holds the channels. */
  readonly channelDim: number;
};

/**
 * A classifier whose layers' outputs can be requested by path. A subclass calls its layers by `run`, as every module does, so that
 * `forwardWith` gets their outputs.
 */
export abstract class Model extends Module {
  /** Computes logits (B, numClasses) from normalised images (B, C, H, W). */
  abstract override forward(x: Tensor): Tensor;

  /** Path of the default target layer, whose output the maps are computed from. */
  abstract readonly camLayer: string;
  abstract readonly numClasses: number;
  /** Path of the layer that gives the logits, as timm's `classifier`. */
  abstract readonly classifier: string;
  /** Path of the layer that reads the images, as timm's `first_conv`. */
  abstract readonly firstConv: string;

  /** Paths of the stages from first to last. The maps get smaller towards the head, and each stage can be the target layer. */
  get camLayers(): readonly string[] {
    return [this.camLayer];
  }

  /** The only number of images that the model takes at once; null for any. */
  get fixedBatch(): number | null {
    return null;
  }

  /**
   * Takes the output of a layer that gives no maps (N, C, h, w), such as tokens or channels last, to maps; undefined for a layer
   * that gives maps or anything else.
   */
  reshapeTransformOf(_layer: string): MapTransform | undefined {
    return undefined;
  }

  /**
   * The linear layer that reads the global average or the flattened output of `camLayer`, for Grad-CAM weights in
   * closed form; null if another kind of layer follows.
   */
  closedFormHead(): ClosedFormHead | null {
    return null;
  }

  /**
   * The layers from the input to the head as patterns of parameter names, for layer-wise learning rates; see
   * `parameterGroups`. Parameters that match no pattern belong to the head.
   */
  readonly layerPatterns: readonly RegExp[] = [];

  /** The number of trainable parameters. */
  numParameters(): number {
    return this.parameters().reduce((sum, parameter) => sum + parameter.numel, 0);
  }
}

/** The properties that a network declares in addition to its layers. Only a `Model` declares them; for other modules they are unknown. */
export type Traits = Pick<Model, "camLayers" | "layerPatterns" | "fixedBatch" | "reshapeTransformOf">;

const NO_TRAITS: Traits = {
  camLayers: [],
  layerPatterns: [],
  fixedBatch: null,
  reshapeTransformOf: () => undefined,
};

export const traitsOf = (model: Module): Traits => (model instanceof Model ? model : NO_TRAITS);

/**
 * Height and width of a layer's output for images (channels, height, width); the `camLayer` of a `Model` by default. Changes
 * neither the model's mode nor its running statistics.
 *
 * @throws E_CONFIG for an unknown layer, or one whose output is not a map; E_SHAPE for images that the model cannot
 * take
 */
export function mapSize(
  model: Module,
  image: readonly [number, number, number],
  layer?: string,
): readonly [number, number] {
  expectModule("mapSize", model);
  const path = layer ?? (model instanceof Model ? model.camLayer : undefined);
  if (path === undefined) throw wrongArgument("mapSize: layer", "the path of a layer", layer);
  const [size] = mapSizes(model, image, [path]) as [readonly [number, number]];
  return size;
}

/** `mapSize` of several layers, from one forward pass. */
export function mapSizes(
  model: Module,
  image: readonly [number, number, number],
  layers: readonly string[],
): (readonly [number, number])[] {
  expectModule("mapSize", model);
  expectImageSize("mapSize", image);
  return inEvaluation(model, () => tidy(() => noGrad(() => sizesOfTaps(model, image, layers))));
}

/** Throws E_ARGUMENT for a value that is not a model. */
export function expectModel(operation: string, model: unknown): void {
  if (!(model instanceof Model)) throw wrongArgument(`${operation}: model`, "a Model", model);
}

/** Fails with E_ARGUMENT for a value that is not the size of an image. */
export function expectImageSize(operation: string, image: unknown): void {
  if (!Array.isArray(image) || image.length !== 3)
    throw wrongArgument(`${operation}: image`, "[channels, height, width]", image);
}

/** Fails with E_ARGUMENT for a value that is not a module. */
export function expectModule(operation: string, model: unknown): void {
  if (!(model instanceof Module)) throw wrongArgument(`${operation}: model`, "a Module", model);
}

function sizesOfTaps(
  model: Module,
  image: readonly [number, number, number],
  layers: readonly string[],
): (readonly [number, number])[] {
  const dtype = model.parameters()[0]?.dtype ?? "float32";
  const traits = traitsOf(model);
  const images = zeros([traits.fixedBatch ?? 1, ...image], { dtype });
  const { taps }: TappedForward = model.forwardWith(images, { taps: layers });
  return layers.map((layer) => {
    const output = taps[layer] as Tensor;
    const shape = (traits.reshapeTransformOf(layer)?.(output) ?? output).sizes;
    const [, , height, width] = shape;
    if (shape.length === 4 && height !== undefined && width !== undefined) return [height, width];
    throw new BatchCamError(
      "E_CONFIG",
      `${layer} gives [${shape.join(", ")}], which is not a map (N, C, H, W): choose a layer before the head`,
    );
  });
}

// Checks that constructors of models make of their options.

/** Throws E_CONFIG unless every value is an integer of at least 1. */
export function expectSizes(model: string, sizes: Record<string, number>): void {
  for (const [option, value] of Object.entries(sizes)) {
    if (isSize(value)) continue;
    throw new BatchCamError("E_CONFIG", `${model}: ${option} must be an integer >= 1, got ${describeValue(value)}`);
  }
}

/** Throws E_CONFIG unless every value is a list of `length` integers of at least 1. */
export function expectSizeLists(model: string, length: number, lists: Record<string, readonly number[]>): void {
  for (const [option, list] of Object.entries(lists)) {
    if (Array.isArray(list) && list.length === length && list.every(isSize)) continue;
    throw new BatchCamError(
      "E_CONFIG",
      `${model}: ${option} must be a list of ${counted(length, "integer")} >= 1, got ${describeValue(list)}`,
    );
  }
}

const isSize = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 1;

/** Throws E_CONFIG unless the value is one of the choices. */
export function expectOneOf<T extends string | number | boolean>(
  model: string,
  option: string,
  [value, choices]: readonly [T, readonly T[]],
): void {
  if (choices.includes(value)) return;
  const known = choices.map((choice) => JSON.stringify(choice)).join(" or ");
  throw new BatchCamError("E_CONFIG", `${model}: ${option} must be ${known}, got ${describeValue(value)}`);
}

/** Returns the options. Throws E_CONFIG for an option that the model does not have, unless its value is undefined. */
export function knownOptions<T extends object>(model: string, options: T, known: readonly string[]): T {
  const wrong = Object.entries(optionsOf(model, options)).find(
    ([option, value]) => value !== undefined && !known.includes(option),
  );
  if (wrong !== undefined) {
    throw new BatchCamError(
      "E_CONFIG",
      `${model}: unknown option ${describeValue(wrong[0])}${hint(wrong[0], known)}; known: ${known.join(", ")}`,
    );
  }
  return options;
}

/** Throws E_CONFIG unless a drop rate is at least 0 and below 1. */
export function expectRate(model: string, option: string, rate: number): void {
  if (typeof rate === "number" && rate >= 0 && rate < 1) return;
  throw new BatchCamError("E_CONFIG", `${model}: ${option} must be in [0, 1), got ${describeValue(rate)}`);
}
