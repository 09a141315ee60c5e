import { optionsOf } from "../../arguments.ts";
import { BatchCamError } from "../../errors.ts";
import {
  adaptiveAvgPool2d,
  avgPool2d,
  type ConvOptions,
  conv2d,
  empty,
  maxPool2d,
  type Pair,
  type PoolOptions,
  type Tensor,
} from "../../tensor/index.ts";
import { expectCounts, expectImages, pairOf } from "../../tensor/internal.ts";
import { Module } from "../module.ts";
import { biasUniform_, kaimingUniform_, parameter } from "../parameter.ts";
import { settingsText } from "../print.ts";

export interface Conv2dOptions extends ConvOptions {
  bias?: boolean;
}

/**
 * Convolution: y[n, k] = bias[k] + Σ_c weight[k, c] ⋆ x[n, c] (cross-correlation), (N, C, H, W) → (N, K, H', W') with
 * H' = ⌊(H + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1. Initialised as in torch.
 *
 * @throws E_ARGUMENT if sizes are not positive integers or `groups` does not divide the channels; E_SHAPE for a wrong x.
 */
export class Conv2d extends Module {
  readonly weight: Tensor; // (K, C / groups, kh, kw)
  readonly bias: Tensor | null; // (K)
  readonly inChannels: number;
  readonly options: ConvOptions;

  constructor(inChannels: number, outChannels: number, kernelSize: Pair, given: Conv2dOptions = {}) {
    super();
    const { bias = true, ...options } = optionsOf("Conv2d", given, ["stride", "padding", "dilation", "groups", "bias"]);
    const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
    expectCounts("Conv2d", { inChannels, outChannels, kernelSize, stride, dilation, groups });
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      const channels = `inChannels ${inChannels} and outChannels ${outChannels}`;
      throw new BatchCamError("E_ARGUMENT", `Conv2d: groups must divide ${channels}, got ${groups}`);
    }
    this.inChannels = inChannels;
    this.options = { stride, padding, dilation, groups };
    const kernel = typeof kernelSize === "number" ? [kernelSize, kernelSize] : kernelSize;
    this.weight = parameter(kaimingUniform_(empty([outChannels, inChannels / groups, ...kernel])));
    this.bias = bias ? parameter(biasUniform_(empty([outChannels]), this.weight)) : null;
  }

  /** The dimension of the output's channels. */
  get channelDim(): 1 | 3 {
    return 1;
  }

  override extraRepr(): string {
    const [outChannels = 0, , ...kernel] = this.weight.sizes;
    const { stride = 1, padding = 0, dilation = 1, groups = 1 } = this.options;
    const differs = (pair: Pair, usual: number) => pairOf(pair).some((value) => value !== usual);
    return settingsText([this.inChannels, outChannels], {
      kernel_size: kernel,
      stride: pairOf(stride),
      ...(differs(padding, 0) ? { padding: pairOf(padding) } : {}),
      ...(differs(dilation, 1) ? { dilation: pairOf(dilation) } : {}),
      ...(groups === 1 ? {} : { groups }),
      ...(this.bias === null ? { bias: false } : {}),
    });
  }

  override forward(x: Tensor): Tensor {
    expectImages("Conv2d", x, this.inChannels);
    return conv2d(x, this.weight, this.bias, this.options);
  }
}

/** The height and width of the output, each ⌊(side + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1. */
export function outputSize(sides: readonly number[], kernel: readonly number[], options: ConvOptions): number[] {
  const { stride = 1, padding = 0, dilation = 1 } = options;
  return sides.map((side, axis) => {
    const of = (pair: Pair) => (typeof pair === "number" ? pair : (pair[axis] as number));
    const reach = of(dilation) * ((kernel[axis] as number) - 1) + 1;
    return Math.floor((side + 2 * of(padding) - reach) / of(stride)) + 1;
  });
}

/** The stride and padding of a convolution that the fused kernels support (square and without groups or dilation); null for others. */
export function squareWindow({ weight, options }: Conv2d): { stride: number; padding: number } | null {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  const side = ([height, width]: readonly number[]) => (height === width ? (height ?? null) : null);
  const [kernel, s, p] = [side(weight.sizes.slice(2)), side(pairOf(stride)), side(pairOf(padding))];
  const dense = groups === 1 && side(pairOf(dilation)) === 1;
  return dense && weight.numel > 0 && kernel !== null && s !== null && p !== null && p < kernel
    ? { stride: s, padding: p }
    : null;
}

/**
 * Whether x is (N, C, H, W) in a dtype that a convolution supports, and large enough for a result of at least `least` pixels on each
 * side.
 */
export function takes({ weight, inChannels, options }: Conv2d, x: Tensor, least = 1): boolean {
  if (x.ndim !== 4 || x.sizes[1] !== inChannels || x.sizes.includes(0)) return false;
  return outputSize(x.sizes.slice(2), weight.sizes.slice(2), options).every((side) => side >= least);
}

/** A pooling layer with a kernel size and options, which it checks. */
export abstract class Pool2d extends Module {
  readonly kernelSize: Pair;
  readonly options: PoolOptions;

  constructor(kernelSize: Pair, options: PoolOptions = {}) {
    super();
    expectCounts(new.target.name, {
      kernelSize,
      stride: optionsOf(new.target.name, options, ["stride", "padding", "ceilMode"]).stride ?? kernelSize,
    });
    this.kernelSize = kernelSize;
    this.options = options;
  }

  protected settings() {
    const { stride = this.kernelSize, padding = 0 } = this.options;
    return { kernel_size: this.kernelSize, stride, padding };
  }
}

/** The largest value in each window. The default stride is the kernel's size. (N, C, H, W) → (N, C, H', W'). */
export class MaxPool2d extends Pool2d {
  override extraRepr(): string {
    return settingsText([], { ...this.settings(), dilation: 1, ceil_mode: this.options.ceilMode === true });
  }

  override forward(x: Tensor): Tensor {
    expectImages("MaxPool2d", x);
    return maxPool2d(x, this.kernelSize, this.options);
  }
}

/** The mean of each window, in which padding counts as zeros. (N, C, H, W) → (N, C, H', W'). */
export class AvgPool2d extends Pool2d {
  override extraRepr(): string {
    return settingsText([], this.settings());
  }

  override forward(x: Tensor): Tensor {
    expectImages("AvgPool2d", x);
    return avgPool2d(x, this.kernelSize, this.options);
  }
}

/** The means over a grid of `size` windows whose sizes are as equal as possible. (N, C, H, W) → (N, C, size...). */
export class AdaptiveAvgPool2d extends Module {
  readonly size: Pair;

  constructor(size: Pair) {
    super();
    expectCounts("AdaptiveAvgPool2d", { size });
    this.size = size;
  }

  override extraRepr(): string {
    return settingsText([], { output_size: this.size });
  }

  override forward(x: Tensor): Tensor {
    expectImages("AdaptiveAvgPool2d", x);
    return adaptiveAvgPool2d(x, this.size);
  }
}

/** The mean over all pixels. (N, C, H, W) → (N, C). */
export class GlobalAvgPool2d extends Module {
  override forward(x: Tensor): Tensor {
    expectImages("GlobalAvgPool2d", x);
    return x.mean([2, 3]);
  }
}
