import { expectNumber, optionsOf, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { countChange } from "./autograd.ts";
import { expectTensor } from "./core.ts";
import * as aten from "./generated/aten.ts";
import { rectify, Tensor } from "./tensor.ts";

/** The result of an operator that has just added a bias. */
export interface BiasedOutput {
  readonly output: Tensor;
  /** The bias parameter; null if a norm shifts its input without one. */
  readonly bias: Tensor | null;
  /** The sum of the terms that do not depend on the input, in a shape that broadcasts to the output's. */
  added(): Tensor;
  /** The dimension of the channels in an output of four dimensions. */
  readonly channelDim: 1 | 3;
}

/** A function that receives the result and returns its replacement. */
export type BiasObserver = (biased: BiasedOutput) => Tensor;

let observer: BiasObserver | null = null;

/** Passes the result of an operator that adds a bias to the observer, if there is one, and returns its replacement. */
export const reportBias = (biased: BiasedOutput): Tensor => (observer === null ? biased.output : observer(biased));

/** Whether an observer sees biases now. */
export const observesBiases = (): boolean => observer !== null;

/** Runs `fn`, which must be synchronous, with an observer of every bias. */
export function observeBiases<T>(see: BiasObserver, fn: () => T): T {
  const outer = observer;
  observer = see;
  try {
    return fn();
  } finally {
    observer = outer;
  }
}

/** One number for both dimensions, or [height, width]. */
export type Pair = number | readonly [number, number];

export function pairOf(value: Pair): readonly number[] {
  return typeof value === "number" ? [value, value] : value;
}

export interface ConvOptions {
  stride?: Pair;
  padding?: Pair;
  dilation?: Pair;
  groups?: number;
}

/** Cross-correlation of x (N, C, H, W) with w (K, C / groups, kh, kw). */
export function conv2d(x: Tensor, w: Tensor, bias?: Tensor | null, options: ConvOptions = {}): Tensor {
  const {
    stride = 1,
    padding = 0,
    dilation = 1,
    groups = 1,
  } = optionsOf("conv2d", options, ["stride", "padding", "dilation", "groups"]);
  const output = new Tensor(aten.conv2d(x, w, bias, pairOf(stride), pairOf(padding), pairOf(dilation), groups));
  return bias ? reportBias({ output, bias, added: () => bias.view([-1, 1, 1]), channelDim: 1 }) : output;
}

/** `x wᵀ + bias`, x (…, in), w (out, in). */
export function linear(x: Tensor, w: Tensor, bias?: Tensor | null): Tensor {
  const output = new Tensor(aten.linear(x, w, bias));
  return bias ? reportBias({ output, bias, added: () => bias, channelDim: 3 }) : output;
}

export const relu = (x: Tensor): Tensor => new Tensor(rectify(x));
export const sigmoid = (x: Tensor): Tensor => new Tensor(aten.sigmoid(x));
export const tanh = (x: Tensor): Tensor => new Tensor(aten.tanh(x));

/** x·Φ(x), computed exactly by default; "tanh" is the usual approximation. */
export function gelu(x: Tensor, options: { approximate?: "none" | "tanh" } = {}): Tensor {
  const { approximate = "none" } = optionsOf("gelu", options, ["approximate"]);
  return new Tensor(aten.gelu(x, approximate));
}

export function silu(x: Tensor): Tensor {
  return new Tensor(aten.silu(x));
}

export function leakyRelu(x: Tensor, negativeSlope = 0.01): Tensor {
  return new Tensor(aten.leakyRelu(x, negativeSlope));
}

export interface PoolOptions {
  /** The stride (default: the kernel's size). */
  stride?: Pair;
  padding?: Pair;
  ceilMode?: boolean;
}

export function maxPool2d(x: Tensor, kernel: Pair, options: PoolOptions = {}): Tensor {
  const {
    stride = kernel,
    padding = 0,
    ceilMode = false,
  } = optionsOf("maxPool2d", options, ["stride", "padding", "ceilMode"]);
  return new Tensor(aten.maxPool2d(x, pairOf(kernel), pairOf(stride), pairOf(padding), [1, 1], ceilMode));
}

export function avgPool2d(x: Tensor, kernel: Pair, options: PoolOptions = {}): Tensor {
  const {
    stride = kernel,
    padding = 0,
    ceilMode = false,
  } = optionsOf("avgPool2d", options, ["stride", "padding", "ceilMode"]);
  return new Tensor(aten.avgPool2d(x, pairOf(kernel), pairOf(stride), pairOf(padding), ceilMode));
}

export function adaptiveAvgPool2d(x: Tensor, size: Pair): Tensor {
  return new Tensor(aten.adaptiveAvgPool2d(x, pairOf(size)));
}

export const softmax = (x: Tensor, dim: number): Tensor => new Tensor(aten.softmaxInt(x, dim));
export const logSoftmax = (x: Tensor, dim: number): Tensor => new Tensor(aten.logSoftmaxInt(x, dim));

export interface BatchNormOptions {
  weight?: Tensor | null | undefined;
  bias?: Tensor | null | undefined;
  runningMean?: Tensor | null;
  runningVar?: Tensor | null;
  /** Whether to use the batch's statistics and to update the running ones with them (true), or to use the running ones (false). */
  training?: boolean;
  momentum?: number;
  eps?: number;
}

/** `(x − mean) / √(var + eps) · weight + bias` for each channel. In training, the running statistics are updated in place. */
export function batchNorm(x: Tensor, options: BatchNormOptions = {}): Tensor {
  const {
    weight,
    bias,
    runningMean,
    runningVar,
    training = false,
    momentum = 0.1,
    eps = 1e-5,
  } = optionsOf("batchNorm", options, ["weight", "bias", "runningMean", "runningVar", "training", "momentum", "eps"]);
  expectTensor(x, "batchNorm: x");
  // The unbiased variance of a single value is NaN, which would remain in the running statistics.
  if (training === true && x.numel > 0 && x.numel === x.sizes[1]) {
    throw new BatchCamError("E_SHAPE", `batchNorm: training needs more than one value per channel, got x [${x.shape}]`);
  }
  const result = new Tensor(aten.batchNorm(x, weight, bias, runningMean, runningVar, training, momentum, eps, true));
  if (training) for (const changed of [runningMean, runningVar]) if (changed) countChange(changed);
  const added = () => {
    const perChannel = [-1, ...x.sizes.slice(2).map(() => 1)];
    if (training || !runningMean || !runningVar) return (bias as Tensor).view(perChannel);
    const deviation = runningVar.add(eps).sqrt();
    const shift = runningMean.mul(weight ? weight.div(deviation) : deviation.reciprocal());
    return (bias ? bias.sub(shift) : shift.neg()).view(perChannel);
  };
  const shifts = bias || (!training && runningMean && runningVar);
  return shifts ? reportBias({ output: result, bias: bias ?? null, added, channelDim: 1 }) : result;
}

/** Normalises the last dimensions, whose sizes `shape` gives. */
export function layerNorm(
  x: Tensor,
  shape: readonly number[],
  options: { weight?: Tensor | null | undefined; bias?: Tensor | null | undefined; eps?: number } = {},
): Tensor {
  const { weight, bias, eps = 1e-5 } = optionsOf("layerNorm", options, ["weight", "bias", "eps"]);
  const output = new Tensor(aten.layerNorm(x, shape, weight, bias, eps));
  if (!bias) return output;
  return reportBias({ output, bias, added: () => bias, channelDim: shape.length === 1 ? 3 : 1 });
}

const REDUCTIONS = { none: 0, mean: 1, sum: 2 } as const;

export interface CrossEntropyOptions {
  /** The weight of each class (C). */
  weight?: Tensor | null | undefined;
  /** The share of the target that is distributed over all classes, 0 to 1 (label smoothing). */
  labelSmoothing?: number;
  reduction?: keyof typeof REDUCTIONS;
}

/** `−Σ_c q_c log softmax_c(logits)`, logits (N, C), targets (N) class indices or (N, C) probabilities. */
export function crossEntropyLoss(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const {
    weight,
    labelSmoothing = 0,
    reduction = "mean",
  } = optionsOf("crossEntropy", options, ["weight", "labelSmoothing", "reduction"]);
  expectNumber("crossEntropy: labelSmoothing", labelSmoothing, "be in [0, 1]", (n) => n >= 0 && n <= 1);
  if (typeof reduction !== "string" || !Object.hasOwn(REDUCTIONS, reduction)) {
    throw wrongArgument("crossEntropy: reduction", '"mean", "sum" or "none"', reduction);
  }
  return new Tensor(aten.crossEntropyLoss(logits, targets, weight, REDUCTIONS[reduction], -100, labelSmoothing));
}

/**
 * Converts images (N, C, H, W) to channels-last memory format, which the results of convolutions, norms and pooling layers then have too.
 * With one channel both formats have the same bytes, and only the strides tell libtorch which one it is.
 */
export function channelsLast(images: Tensor): Tensor {
  const [count, channels, height, width] = images.sizes as [number, number, number, number];
  const pixels = channels === 1 ? images.reshape([count, height, width, 1]) : images.permute([0, 2, 3, 1]).contiguous();
  return pixels.permute([0, 3, 1, 2]);
}
