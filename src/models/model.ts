import { wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { inEvaluation, Module, type TappedForward } from "../nn/index.ts";
import { noGrad, type Tensor, tidy, zeros } from "../tensor/index.ts";

/** How a network's logits follow from the maps of its `camLayer`; see `CamHead` of batch-cam/cam. */
export interface ClosedFormHead {
  /** Path of the linear layer that reads the maps, globally averaged or flattened. */
  readonly layer: string;
  readonly weight: Tensor;
  /** Weight of the linear layer that reads that one's output behind a ReLU; left out if the first one gives the logits. */
  readonly readout?: Tensor;
}

/**
 * A classifier whose inner maps can be asked for by path. A subclass calls its layers by `run`, as every module does: that
 * is where `forwardWith` sees their outputs.
 */
export abstract class Model extends Module {
  /** Images (B, C, H, W), normalised, to logits (B, numClasses). */
  abstract override forward(x: Tensor): Tensor;

  /** Path of the layer whose output the maps are taken from by default. */
  abstract readonly camLayer: string;
  abstract readonly numClasses: number;
  /** Path of the layer that gives the logits, as timm's `classifier`. */
  abstract readonly classifier: string;
  /** Path of the layer that takes the images, as timm's `first_conv`. */
  abstract readonly firstConv: string;

  /** Paths of the stages, first to last: layers whose maps shrink towards the head, any of which can be the target. */
  get camLayers(): readonly string[] {
    return [this.camLayer];
  }

  /**
   * The linear layer that reads the output of `camLayer`, globally averaged or flattened, for Grad-CAM weights in closed
   * form; null if anything else follows.
   */
  closedFormHead(): ClosedFormHead | null {
    return null;
  }

  /**
   * The layers from the input to the head as patterns of parameter names, for layer-wise learning rates: see
   * `parameterGroups`. What no pattern matches is the head.
   */
  readonly layerPatterns: readonly RegExp[] = [];

  /** The number of trainable parameters. */
  numParameters(): number {
    return this.parameters().reduce((sum, parameter) => sum + parameter.numel, 0);
  }
}

/**
 * Height and width of a layer's output for images (channels, height, width); `camLayer` by default. Changes neither the
 * model's mode nor its running statistics.
 *
 * @throws E_CONFIG for an unknown layer, or one whose output is not a map; E_SHAPE for images that the model cannot take
 */
export function mapSize(
  model: Model,
  image: readonly [number, number, number],
  layer?: string,
): readonly [number, number] {
  expectModel("mapSize", model);
  const [size] = mapSizes(model, image, [layer === undefined ? model.camLayer : layer]) as [readonly [number, number]];
  return size;
}

/** `mapSize` of several layers, by one forward pass. */
export function mapSizes(
  model: Model,
  image: readonly [number, number, number],
  layers: readonly string[],
): (readonly [number, number])[] {
  expectModel("mapSize", model);
  if (!Array.isArray(image) || image.length !== 3)
    throw wrongArgument("mapSize: image", "[channels, height, width]", image);
  return inEvaluation(model, () => tidy(() => noGrad(() => sizesOfTaps(model, image, layers))));
}

/** Fails with E_ARGUMENT for a value that is not a model. */
export function expectModel(operation: string, model: unknown): void {
  if (!(model instanceof Model)) throw wrongArgument(`${operation}: model`, "a Model", model);
}

function sizesOfTaps(
  model: Model,
  image: readonly [number, number, number],
  layers: readonly string[],
): (readonly [number, number])[] {
  const dtype = model.parameters()[0]?.dtype ?? "float32";
  const { taps }: TappedForward = model.forwardWith(zeros([1, ...image], { dtype }), { taps: layers });
  return layers.map((layer) => {
    const shape = taps[layer]?.sizes ?? [];
    const [, , height, width] = shape;
    if (shape.length === 4 && height !== undefined && width !== undefined) return [height, width];
    throw new BatchCamError(
      "E_CONFIG",
      `${layer} gives [${shape.join(", ")}], which is no map (N, C, H, W): choose a layer before the head`,
    );
  });
}
