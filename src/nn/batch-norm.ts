import { expectNumber, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { batchNorm, ones, type Tensor, zeros } from "../tensor/index.ts";
import { expectCounts, expectImages } from "./checks.ts";
import { Module } from "./module.ts";
import { buffer, parameter } from "./parameter.ts";
import { settingsText } from "./print.ts";

export interface BatchNormModuleOptions {
  eps?: number;
  /** Share of the batch in a running statistic; null gives the plain average of all batches so far. */
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
  // Spelt as torch spells them: property names are the names in the state dict.
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

/** Counts a batch of training; its share in the running statistics. */
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
