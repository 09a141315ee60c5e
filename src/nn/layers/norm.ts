import { expectNumber, optionsOf } from "../../arguments.ts";
import { BatchCamError } from "../../errors.ts";
import { batchNorm, layerNorm, ones, type Tensor, zeros } from "../../tensor/index.ts";
import {
  expectCounts,
  expectImages,
  expectLast,
  expectTensor,
  fusedDtype,
  layerNormOf,
  observesBiases,
  reportBias,
  wantsFused,
} from "../../tensor/internal.ts";
import { Module } from "../module.ts";
import { buffer, parameter } from "../parameter.ts";
import { settingsText } from "../print.ts";

export interface BatchNormModuleOptions {
  eps?: number;
  /** Weight of the batch in the running statistics; null gives the plain average of all batches so far. */
  momentum?: number | null;
}

/**
 * y = (x − μ) / √(σ² + eps) · weight + bias per channel of (N, C, H, W). In training μ and σ² are the batch's (σ²
 * biased), and running ← (1 − momentum)·running + momentum·batch (σ² unbiased); in evaluation they are the running ones.
 *
 * @throws E_SHAPE in training for one value per channel, which has no variance.
 */
export class BatchNorm2d extends Module {
  readonly weight: Tensor; // (C)
  readonly bias: Tensor; // (C)
  // The names are torch's, because property names are the names in the state dict.
  readonly running_mean: Tensor; // (C)
  readonly running_var: Tensor; // (C)
  readonly num_batches_tracked: Tensor; // (), int64
  readonly numFeatures: number;
  readonly eps: number;
  readonly momentum: number | null;

  constructor(numFeatures: number, options: BatchNormModuleOptions = {}) {
    super();
    const { eps = 1e-5, momentum = 0.1 } = optionsOf("BatchNorm2d", options, ["eps", "momentum"]);
    expectNumber("BatchNorm2d: eps", eps);
    if (momentum !== null) expectNumber("BatchNorm2d: momentum", momentum);
    expectCounts("BatchNorm2d", { numFeatures });
    this.numFeatures = numFeatures;
    this.eps = eps;
    this.momentum = momentum;
    this.weight = parameter(ones([numFeatures]));
    this.bias = parameter(zeros([numFeatures]));
    this.running_mean = buffer(zeros([numFeatures]));
    this.running_var = buffer(ones([numFeatures]));
    this.num_batches_tracked = buffer(zeros([], { dtype: "int64" }));
  }

  override extraRepr(): string {
    const { eps, momentum } = this;
    return settingsText([this.numFeatures], { eps, momentum, affine: true, track_running_stats: true });
  }

  override forward(x: Tensor): Tensor {
    expectImages("BatchNorm2d", x, this.numFeatures);
    return batchNorm(x, {
      weight: this.weight,
      bias: this.bias,
      runningMean: this.running_mean,
      runningVar: this.running_var,
      training: this.training,
      momentum: this.training ? beginBatch(this, x) : 0,
      eps: this.eps,
    });
  }
}

/** Counts a training batch, and returns its weight in the running statistics. */
export function beginBatch(norm: BatchNorm2d, x: Tensor): number {
  if (x.numel === norm.numFeatures) {
    throw new BatchCamError(
      "E_SHAPE",
      `BatchNorm2d: training needs more than one value per channel, got x of [${x.sizes.join(", ")}]; use a larger batch or eval()`,
    );
  }
  norm.num_batches_tracked.add_(1);
  return norm.momentum ?? 1 / norm.num_batches_tracked.item();
}

/** y = (x − mean x) / √(var x + eps) · weight + bias over the last dimension (biased variance), (..., n) → (..., n). */
export class LayerNorm extends Module {
  readonly weight: Tensor; // (n)
  readonly bias: Tensor; // (n)
  readonly eps: number;
  readonly size: number;

  constructor(size: number, options: { eps?: number } = {}) {
    super();
    const { eps = 1e-5 } = optionsOf("LayerNorm", options, ["eps"]);
    expectNumber("LayerNorm: eps", eps);
    expectCounts("LayerNorm", { size });
    this.size = size;
    this.eps = eps;
    this.weight = parameter(ones([size]));
    this.bias = parameter(zeros([size]));
  }

  override extraRepr(): string {
    return settingsText([[this.size]], { eps: this.eps, elementwise_affine: true });
  }

  override forward(x: Tensor): Tensor {
    expectLast("LayerNorm", x, this.size);
    return layerNorm(x, [this.size], weightsOf(this));
  }
}

/** Layer norm over the channels of each pixel of (N, C, H, W): timm's LayerNorm2d. */
export class LayerNorm2d extends LayerNorm {
  override forward(x: Tensor): Tensor {
    expectImages("LayerNorm2d", x, this.size);
    const dtype = fusedDtype(x);
    const isFloat32 = this.weight.dtype === "float32" && this.bias.dtype === "float32";
    // Under autocast this norm stays in bfloat16, and libtorch's returns float32.
    if (dtype !== null && isFloat32 && x.numel > 0 && wantsFused() && !observesBiases())
      return layerNormOf(x.permute([0, 2, 3, 1]).to(dtype), weightsOf(this)).permute([0, 3, 1, 2]);
    return layerNorm(x.permute([0, 2, 3, 1]), [this.size], weightsOf(this)).permute([0, 3, 1, 2]);
  }
}

const weightsOf = ({ weight, bias, eps }: LayerNorm) => ({ weight, bias, eps });

export interface GRNOptions {
  eps?: number;
  /** True for inputs (N, H, W, C), false for (N, C, H, W). */
  channelsLast?: boolean;
}

/**
 * Global response normalisation (ConvNeXt V2, arXiv 2301.00808): y = x + weight·(x·R) + bias, R = g / (mean_c g + eps),
 * g[n, c] = ‖x[n, :, :, c]‖₂. The parameters' names are timm's. Both start at zero, so that the layer starts as the
 * identity.
 */
export class GRN extends Module {
  readonly weight: Tensor; // (C)
  readonly bias: Tensor; // (C)
  readonly eps: number;
  readonly channelsLast: boolean;
  readonly channels: number;

  constructor(channels: number, options: GRNOptions = {}) {
    super();
    const { eps = 1e-6, channelsLast = true } = optionsOf("GRN", options, ["eps", "channelsLast"]);
    expectNumber("GRN: eps", eps);
    expectCounts("GRN", { channels });
    this.channels = channels;
    this.eps = eps;
    this.channelsLast = channelsLast;
    this.weight = parameter(zeros([channels]));
    this.bias = parameter(zeros([channels]));
  }

  /** The dimension of the output's channels. */
  get channelDim(): 1 | 3 {
    return this.channelsLast ? 3 : 1;
  }

  override extraRepr(): string {
    return settingsText([this.channels], { eps: this.eps, channels_last: this.channelsLast });
  }

  override forward(x: Tensor): Tensor {
    expectTensor(x, "GRN: x");
    const [space, channel, shape] = this.channelsLast ? [[1, 2], 3, [-1]] : [[2, 3], 1, [-1, 1, 1]];
    if (x.ndim !== 4 || x.sizes[channel] !== this.channels) {
      const expected = this.channelsLast ? `[N, H, W, ${this.channels}]` : `[N, ${this.channels}, H, W]`;
      throw new BatchCamError("E_SHAPE", `GRN: x must be ${expected}, got [${x.sizes.join(", ")}]`);
    }
    const energy = norms(x, space); // (N, 1, 1, C)
    const response = energy.div(energy.mean([channel], { keepDims: true }).add(this.eps)); // (N, 1, 1, C)
    // The same sum as x·(1 + weight·R) + bias, which reads and writes the large tensor once instead of four times.
    const scale = response.mul(this.weight.view(shape)).add(1);
    const output = this.bias.view(shape).addcmul(x, scale);
    return reportBias({ output, bias: this.bias, added: () => this.bias.view(shape), channelDim: this.channelDim });
  }
}

/**
 * ‖x‖₂ over `dims`, with a zero gradient if the norm is zero. libtorch's own norm is slow for strided data, and its second derivative is
 * NaN if a channel is zero everywhere.
 */
function norms(x: Tensor, dims: readonly number[]): Tensor {
  const squared = x.square().sum(dims, { keepDims: true });
  const dead = squared.eq(0);
  return squared.maskedFill(dead, 1).sqrt().maskedFill(dead, 0);
}
