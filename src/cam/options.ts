import { describeValue, expectInteger, expectNumber } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { Tensor, tensor } from "../tensor/index.ts";
import { isTensor, readLabels } from "../tensor/internal.ts";

/**
 * The class or score that the maps of each sample explain:
 * - `"prediction"`: the class with the largest logit; `{ kth: k }`: the k-th most probable class, 1 being the prediction;
 * - a class for every sample: an integer tensor (B) or an array of B numbers, or one number for all of them;
 * - a function from logits (B, C) to scores (B) in which each score depends only on its own row: `(logits) =>
 *   logits.logSoftmax(1).select(1, 3)`. It always gets the rows of the whole batch in their order, once for every noisy copy, path point
 *   or removed channel that a method scores, even if the forward passes run in chunks;
 * - `"all"`: every class; maps are (B, C, H, W).
 */
export type Targets =
  | "prediction"
  | "all"
  | { readonly kth: number }
  | number
  | Tensor
  | readonly number[]
  | ScoreFunction;
export type ScoreFunction = (logits: Tensor) => Tensor;

/** The scores that maps are made for, one for each sample. */
export interface Target {
  /** (B), int64: the class of each sample; null if a function scores them. */
  readonly classes: Tensor | null;
  /** Scores (B) of logits (B, C), the rows of the whole batch in their order. */
  score(logits: Tensor): Tensor;
}

/** The target of classes (B), int64. */
export function classTarget(classes: Tensor): Target {
  return { classes, score: (logits) => logits.gather(1, classes.unsqueeze(1)).squeeze(1) };
}

/**
 * Checks targets and converts them, given the logits (B, C) of their batch.
 *
 * @returns one target, or with "all" a target for each class
 * @throws E_SHAPE if their number is not B; E_ARGUMENT for a class or a rank out of range, or a value that is not a target
 */
export function readTargets(operation: string, targets: Targets, logits: Tensor): Target[] {
  const [count, numClasses] = logits.sizes as [number, number];
  const constant = (label: number) => tensor(new BigInt64Array(count).fill(BigInt(label)));
  if (typeof targets === "function") return [{ classes: null, score: scoreFunction(operation, targets) }];
  if (targets === "prediction") return [classTarget(logits.detach().argmax(1))];
  if (targets === "all") return Array.from({ length: numClasses }, (_, label) => classTarget(constant(label)));
  if (typeof targets === "number") {
    expectInteger(`${operation}: targets`, targets, 0, numClasses - 1);
    return [classTarget(constant(targets))];
  }
  if (isTensor(targets) || isList(targets)) {
    const { tensor: classes } = readLabels(operation, targets as Tensor | readonly number[], { count, numClasses });
    return [classTarget(classes)];
  }
  if (typeof targets === "object" && targets !== null && "kth" in targets) {
    expectInteger(`${operation}: targets.kth`, targets.kth, 1, numClasses);
    return [
      classTarget(
        logits
          .detach()
          .topk(targets.kth, 1)
          .indices.select(1, targets.kth - 1)
          .contiguous(),
      ),
    ];
  }
  throw new BatchCamError(
    "E_ARGUMENT",
    `${operation}: targets must be "prediction", "all", { kth }, a class, a class for each sample or a function of the logits, got ${describeValue(targets)}`,
  );
}

const isList = (value: unknown) => Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));

function scoreFunction(operation: string, fn: ScoreFunction): Target["score"] {
  return (logits) => {
    const scores = fn(logits.clone()); // a copy, because the function may write to its argument
    const count = logits.sizes[0] as number;
    if (scores instanceof Tensor && ["", "1"].includes(scores.sizes.slice(1).join()) && scores.sizes[0] === count) {
      if (scores.dtype.includes("float")) return scores.reshape([count]); // a column [B, 1], as `gather` returns it, is allowed too
      const problem = `scores of floating point, got ${scores.dtype}`;
      throw new BatchCamError("E_DTYPE", `${operation}: the targets' function must give ${problem}`);
    }
    const got = scores instanceof Tensor ? `[${scores.shape.join(", ")}]` : describeValue(scores);
    throw new BatchCamError("E_SHAPE", `${operation}: the targets' function must give scores [N=${count}], got ${got}`);
  };
}

/**
 * Settings of particular methods. The defaults are those of the method's paper or of the library that it is compared
 * with.
 */
export interface MethodSettings {
  /** Number of noisy copies of each image, for SmoothGrad (25) and SmoothGradCAM++ (4). */
  samples?: number;
  /**
   * Standard deviation of their normal noise, in units of x, or the noise itself (copies, B, C, H, W). The default is 0.15 of each
   * image's range for SmoothGrad, and 0.3 for SmoothGradCAM++.
   */
  noise?: number | Tensor;
  /** Number of points of the path of IntegratedGradients (50). */
  steps?: number;
  /** Start of the path of IntegratedGradients, broadcast to x (default: zeros). */
  baseline?: Tensor;
  /**
   * Seed of the noise (0), which is the same for every image of a call. The state of the engine's random generator does
   * not change.
   */
  seed?: number;
  /**
   * Largest number of images in one forward pass of AblationCAM and ScoreCAM. The default is as many as `memoryLimit` allows, up to 128.
   */
  chunkSize?: number;
  /** Approximate limit on the bytes that one forward pass of AblationCAM and ScoreCAM uses (1 GiB). */
  memoryLimit?: number;
}

export function checkSettings(operation: string, settings: MethodSettings): void {
  const { samples, noise, steps, seed, chunkSize, memoryLimit } = settings;
  for (const [name, value] of Object.entries({ samples, steps, chunkSize }))
    if (value !== undefined) expectInteger(`${operation}: ${name}`, value, 1);
  if (noise !== undefined && !isTensor(noise))
    expectNumber(`${operation}: noise`, noise, "be a number >= 0", (n) => n >= 0 && n < Infinity);
  if (seed !== undefined) expectInteger(`${operation}: seed`, seed, 0);
  if (memoryLimit !== undefined)
    expectNumber(`${operation}: memoryLimit`, memoryLimit, "be a number > 0", (n) => n > 0);
}

/** The input of a method that differentiates with respect to the images, apart from the images. */
export interface ImageOptions {
  target: Target;
  settings: MethodSettings;
  createGraph: boolean;
}

/** The input of a method that runs the model itself. */
export interface ProbingOptions extends ImageOptions {
  convention: Convention;
}

/**
 * The library whose conventions the maps follow, where libraries differ:
 * - "batch-cam" (default): resize to the image, then one min-max with eps 1e-8; several layers are scaled, resized, averaged
 *   and scaled again;
 * - "pytorch-grad-cam" (1.5): min-max with eps 1e-7, resize, average over the layers, min-max again;
 * - "torch-cam" (0.5): min-max with eps 1e-8 at the map's own size, resized only if `upsample` asks for it; the maps of several layers
 *   are resized to the largest of them and combined by their maximum; Grad-CAM++ without its denominator; the channels of Score-CAM are
 *   scaled before they are resized with half-pixel centres.
 */
export type Convention = "batch-cam" | "pytorch-grad-cam" | "torch-cam";
export const CONVENTIONS = ["batch-cam", "pytorch-grad-cam", "torch-cam"] as const satisfies Convention[];
