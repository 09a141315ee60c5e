import * as aten from "./generated/aten.ts";
import type { Tensor } from "./tensor.ts";

export interface FusedSgdOptions {
  lr: number;
  momentum: number;
  dampening: number;
  weightDecay: number;
  nesterov: boolean;
  /** Whether the momentum buffers have no values yet. */
  isFirstStep: boolean;
}

export interface FusedAdamOptions {
  lr: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
}

/** Parameters, their gradients and their states. The state tensors are row-major, as `zeros(shape)` makes them. */
export interface AdamOperands {
  params: readonly Tensor[];
  grads: readonly Tensor[];
  expAvgs: readonly Tensor[];
  expAvgSqs: readonly Tensor[];
  /** One float32 scalar for each parameter: the number of this step, counted from 1. */
  steps: readonly Tensor[];
}

/** Takes one step of SGD in place, in one pass over memory: libtorch's `_fused_sgd_`. Call it within `noGrad` and `tidy`. */
export function fusedSgd(
  { params, grads, buffers }: { params: readonly Tensor[]; grads: readonly Tensor[]; buffers: readonly Tensor[] },
  { lr, momentum, dampening, weightDecay, nesterov, isFirstStep }: FusedSgdOptions,
): void {
  inRowMajor(params, grads, (p, g) =>
    aten.rawFusedSgdInPlace(p, g, buffers, weightDecay, momentum, lr, dampening, nesterov, false, isFirstStep),
  );
}

/** Takes one step of Adam with L2 decay in place: libtorch's `_fused_adam_`. Call it within `noGrad` and `tidy`. */
export function fusedAdam({ params, grads, expAvgs, expAvgSqs, steps }: AdamOperands, options: FusedAdamOptions): void {
  const { lr, beta1, beta2, weightDecay, eps } = options;
  inRowMajor(params, grads, (p, g) =>
    aten.rawFusedAdamInPlace(p, g, expAvgs, expAvgSqs, [], steps, lr, beta1, beta2, weightDecay, eps, false, false),
  );
}

/** Takes one step of Adam with decoupled decay in place: libtorch's `_fused_adamw_`. Call it within `noGrad` and `tidy`. */
export function fusedAdamW(
  { params, grads, expAvgs, expAvgSqs, steps }: AdamOperands,
  options: FusedAdamOptions,
): void {
  const { lr, beta1, beta2, weightDecay, eps } = options;
  inRowMajor(params, grads, (p, g) =>
    aten.rawFusedAdamwInPlace(p, g, expAvgs, expAvgSqs, [], steps, lr, beta1, beta2, weightDecay, eps, false, false),
  );
}

/** The L2 norm of each tensor. */
export function normOfEach(tensors: readonly Tensor[]): number[] {
  return tensors.map((tensor) => {
    using norm = tensor.norm();
    return norm.item();
  });
}

/** Multiplies each tensor in place. */
export function scaleEach(tensors: readonly Tensor[], factor: number): void {
  aten.rawForeachMulInPlaceScalar(tensors, factor);
}

/**
 * The fused CPU kernels assume, without a check, that all operands have the same memory layout. A channels-last
 * gradient of a row-major weight would be applied to the wrong elements.
 */
function inRowMajor(
  params: readonly Tensor[],
  grads: readonly Tensor[],
  run: (params: Tensor[], grads: Tensor[]) => void,
): void {
  const aligned = params.map(rowMajor);
  run(aligned, grads.map(rowMajor));
  for (const [index, param] of params.entries()) {
    const copy = aligned[index] as Tensor;
    if (copy !== param) param.copy_(copy);
  }
}

function rowMajor(tensor: Tensor): Tensor {
  return tensor.isContiguous ? tensor : tensor.contiguous();
}
