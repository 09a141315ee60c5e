import { optionsOf, wrongArgument } from "../../arguments.ts";
import { isGradEnabled, type Tensor, tidy } from "../../tensor/index.ts";
import {
  autocastDtype,
  batchNormAct,
  channelsLast,
  convolution,
  derivedTensors,
  expectTensor,
  forgetDerived,
  fusedConv,
  fusedConvTakesBfloat16,
  fusedDtype,
  hasFusedConv,
  hasWinogradConv,
  packConvWeight,
  versionOf,
  wantsFused,
  winogradConv,
} from "../../tensor/internal.ts";
import { isWatched, observed } from "../interception.ts";
import { BatchNorm2d, beginBatch } from "../layers/norm.ts";
import { Conv2d, outputSize, squareWindow, takes } from "../layers/spatial.ts";
import type { Module } from "../module.ts";

export interface ConvNormOptions {
  /** A tensor that is added after the norm: a block's shortcut. */
  add?: Tensor | undefined;
  /** Whether a ReLU follows. */
  relu?: boolean;
}

/** The weights that inference uses in place of a convolution's weights and the norm after it. */
interface Folded {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly dtype: "float32" | "bfloat16";
  /**
   * The convolution's padding if the weights keep their layout for `winogradConv`; null if they are laid out for oneDNN's
   * kernel.
   */
  readonly winogradPadding: number | null;
  /**
   * The largest sum of the magnitudes of one output channel's weights. The convolution multiplies the largest magnitude
   * by at most this factor.
   */
  readonly gain: number;
  /** Largest magnitude of the bias. */
  readonly shift: number;
}

/**
 * y = relu(norm(conv(x)) + add), the pair that residual networks are made of. In evaluation, if no graph is recorded and the
 * output of neither layer is observed, the norm is folded into the weights, W · γ / √(σ² + eps), and one kernel computes it
 * all; otherwise the layers run one after the other, as they also do if weights or images are not finite. Both paths agree up
 * to rounding.
 */
export function convNorm(conv: Conv2d, norm: BatchNorm2d, x: Tensor, options: ConvNormOptions = {}): Tensor {
  const { add, relu = false } = optionsOf("convNorm", options, ["add", "relu"]);
  if (!(conv instanceof Conv2d)) throw wrongArgument("convNorm: conv", "a Conv2d", conv);
  if (!(norm instanceof BatchNorm2d)) throw wrongArgument("convNorm: norm", "a BatchNorm2d", norm);
  expectTensor(x, "convNorm: x");
  if (add !== undefined) expectTensor(add, "convNorm: add");
  if (norm.training) {
    const trained = inTraining(conv, norm, x, { add, relu });
    if (trained !== null) return trained;
  }
  const dtype = foldedDtype(conv, norm, { x, add });
  const weights = dtype === null ? null : folded(conv, norm, { dtype, size: x.sizes });
  const most = weights === null ? Number.POSITIVE_INFINITY : largestResult(x, add, weights);
  if (weights === null || !(most < LARGE)) {
    const normed = norm.run(conv.run(x));
    const sum = add === undefined ? normed : normed.add(add);
    return relu ? sum.relu() : sum;
  }
  const result = inOneKernel(x, weights, { conv, add, relu });
  bounds.set(result, { version: versionOf(result), most });
  return result;
}

/** Parameters, buffers and settings of a convolution and a batch norm that belong to another module. */
export interface BorrowedConvNorm {
  readonly conv: Pick<Conv2d, "weight" | "bias" | "inChannels" | "options">;
  readonly norm: Pick<BatchNorm2d, "weight" | "bias" | "running_mean" | "running_var" | "num_batches_tracked"> &
    Pick<BatchNorm2d, "numFeatures" | "eps" | "momentum" | "training">;
}

/** The two layers that `convNorm` takes, for weights that an imported model owns. `lend` gives them the tensors of a run. */
export class BorrowedLayers {
  // They are made without their constructors, which would draw new weights.
  readonly conv = Object.create(Conv2d.prototype) as Conv2d;
  readonly norm = Object.create(BatchNorm2d.prototype) as BatchNorm2d;

  lend({ conv, norm }: BorrowedConvNorm): this {
    Object.assign(this.conv, conv, { training: norm.training });
    Object.assign(this.norm, norm);
    return this;
  }

  /** Frees the folded weights of inference. */
  forget(): void {
    forgetDerived(this.conv);
  }
}

/** Computes in the weights' dtype. The kernel is fastest for the channels-last layout, and its result keeps that layout. */
function inOneKernel(
  x: Tensor,
  { weight, bias, dtype, winogradPadding: padding }: Folded,
  { conv, add, relu }: { conv: Conv2d; add: Tensor | undefined; relu: boolean },
): Tensor {
  const cast = (t: Tensor) => channelsLast(t.dtype === dtype ? t : t.to(dtype));
  const run = (end: { add?: Tensor; relu: boolean }) =>
    padding === null
      ? fusedConv(cast(x), weight, bias, { ...conv.options, ...end })
      : winogradConv(cast(x), [weight, bias], { padding, ...end });
  if (add === undefined) return run({ relu });
  if (isPlainSum(add, x, conv)) return run({ add: cast(add), relu });
  const sum = run({ relu: false }).add(add);
  return relu ? sum.relu() : sum;
}

interface Bound {
  version: number;
  most: number;
}

/** Upper bounds of the magnitudes in tensors, either measured or derived from the bounds of a kernel's inputs. */
const bounds = new WeakMap<Tensor, Bound>();
/** A limit that keeps float32 sums of products far from overflow. */
const LARGE = 1e30;
/** A bound above this is replaced by a measured one, because sums of bounds grow much faster than the values do. */
const VAGUE = 1e15;

/**
 * An upper bound of the result's magnitudes; infinite if the operands hold NaN or infinity. The kernel's ReLU turns NaN into 0
 * and would hide it.
 */
function largestResult(x: Tensor, add: Tensor | undefined, { gain, shift }: Folded): number {
  return gain * largest(x) + shift + (add === undefined ? 0 : largest(add));
}

function largest(x: Tensor): number {
  const known = bounds.get(x);
  const version = versionOf(x);
  if (known?.version === version && known.most < VAGUE) return known.most;
  const most = magnitude(x);
  bounds.set(x, { version, most });
  return most;
}

/** The largest magnitude; infinite if any value is NaN. */
function magnitude(x: Tensor): number {
  const [low, high] = tidy(() => [x.min().item(), x.max().item()]) as [number, number];
  return Number.isNaN(low + high) ? Number.POSITIVE_INFINITY : Math.max(Math.abs(low), Math.abs(high));
}

/**
 * Whether the kernel can add a tensor itself: it must have the result's shape, with more than one channel and more than one
 * pixel, because otherwise oneDNN cannot determine the layout.
 */
function isPlainSum(add: Tensor, x: Tensor, { weight, options }: Conv2d): boolean {
  const [batch, channels = 0, height = 0, width = 0] = add.sizes;
  const result = outputSize(x.sizes.slice(2), weight.sizes.slice(2), options);
  const own = add.ndim === 4 && batch === x.sizes[0] && channels === weight.sizes[0];
  return own && height === result[0] && width === result[1] && channels > 1 && height * width > 1;
}

/** Norm, sum and ReLU in one kernel after the convolution; null if the layers have to run one after the other. */
function inTraining(
  conv: Conv2d,
  norm: BatchNorm2d,
  x: Tensor,
  { add, relu }: { add: Tensor | undefined; relu: boolean },
): Tensor | null {
  const window = squareWindow(conv);
  const dtype = fusedDtype(x);
  if (dtype === null || window === null || conv.bias !== null || !wantsFused()) return null;
  // With few channels fusing saves little time, and the separate layers give exactly libtorch's values.
  if (dtype === "float32" && norm.numFeatures < 64) return null;
  if (!isPlain(conv, Conv2d) || !isPlain(norm, BatchNorm2d)) return null;
  if (add !== undefined && add.dtype !== dtype) return null;
  const { weight, bias, running_mean: runningMean, running_var: runningVar, eps } = norm;
  if (!takes(conv, x) || conv.weight.dtype !== "float32" || weight.dtype !== "float32") return null;
  const maps = observed(conv, () => convolution(x.to(dtype), conv.weight, window));
  if (maps.sizes[1] !== norm.numFeatures || (add !== undefined && !sameShape(add, maps))) return null;
  const momentum = beginBatch(norm, maps);
  const options = { weight, bias, runningMean, runningVar, eps, momentum, add, relu };
  return observed(norm, () => batchNormAct(maps, options));
}

const sameShape = (a: Tensor, b: Tensor): boolean => a.sizes.join() === b.sizes.join();

/** The dtype in which the fused inference kernel computes here; null if the layers have to run one after the other. */
function foldedDtype(
  conv: Conv2d,
  norm: BatchNorm2d,
  { x, add }: { x: Tensor; add: Tensor | undefined },
): "float32" | "bfloat16" | null {
  const plain = isPlain(conv, Conv2d) && isPlain(norm, BatchNorm2d) && !norm.training;
  if (!hasFusedConv || !plain || isGradEnabled() || !wantsFused()) return null;
  const fits =
    takes(conv, x) && (add === undefined || (add.numel > 0 && (add.dtype === "float32" || add.dtype === "bfloat16")));
  if (!fits || conv.weight.dtype !== "float32" || norm.weight.dtype !== "float32") return null;
  const cast = autocastDtype();
  if (cast === "bfloat16")
    return (x.dtype === "float32" || x.dtype === "bfloat16") && fusedConvTakesBfloat16() ? cast : null;
  return cast === null && x.dtype === "float32" ? "float32" : null;
}

function folded(
  conv: Conv2d,
  norm: BatchNorm2d,
  { dtype, size }: { dtype: "float32" | "bfloat16"; size: readonly number[] },
): Folded {
  const { weight, bias } = conv;
  const { weight: gain, bias: shift, running_mean: mean, running_var: variance } = norm;
  const sources = [weight, gain, shift, mean, variance, ...(bias === null ? [] : [bias])];
  const window = squareWindow(conv);
  const winograd = window !== null && hasWinogradConv(size, weight.sizes, { ...window, dtype });
  // Winograd's kernels transform float32 weights for images of both dtypes.
  const weightDtype = winograd ? "float32" : dtype;
  const winogradPadding = winograd ? window.padding : null;
  // The layout depends on the image size, but not on the number of images.
  const purpose = `${dtype} ${winograd ? "winograd" : size.slice(2)} ${norm.eps}`;
  const make = (): Folded => {
    const scale = gain.detach().div(variance.add(norm.eps).sqrt());
    const centre = bias === null ? mean : mean.sub(bias.detach());
    const scaled = weight
      .detach()
      .mul(scale.view([-1, 1, 1, 1]))
      .to(weightDtype);
    const moved = shift.detach().sub(centre.mul(scale)).to(weightDtype);
    return {
      weight: winograd ? scaled : packConvWeight(scaled, size, conv.options),
      bias: moved,
      dtype,
      winogradPadding,
      gain: magnitude(scaled.to("float32").abs().sum([1, 2, 3])),
      shift: magnitude(moved),
    };
  };
  return derivedTensors(conv, { sources, purpose, make });
}

type Kind = abstract new (...args: never[]) => Module;

/** Whether a layer is of exactly this class and has the `forward` of the class. */
export const isOf = (layer: Module, kind: Kind): boolean =>
  layer.constructor === kind && !Object.hasOwn(layer, "forward");

/** Whether a fused kernel may replace a layer: it is of exactly this class, and its output is not observed. */
export const isPlain = (layer: Module, kind: Kind): boolean => isOf(layer, kind) && !isWatched(layer);
