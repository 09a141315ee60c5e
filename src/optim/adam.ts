import { optionsOf, wrongArgument } from "../arguments.ts";
import { type Tensor, tensor } from "../tensor/index.ts";
import { rawFusedAdamInPlace, rawFusedAdamwInPlace } from "../tensor/internal.ts";
import { bufferOf, inRowMajor, Optimizer, setStep, type Update } from "./optimizer.ts";
import { expectSetting, expectShare, type ParameterGroup, type Parameters, type Slot } from "./parameter-groups.ts";

export interface AdamOptions {
  lr?: number;
  betas?: readonly [number, number];
  eps?: number;
  weightDecay?: number;
}

/**
 * Adam (arXiv 1412.6980) as in torch: m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², p ← p − lr·m̂ / (√v̂ + eps), where
 * m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ). Weight decay is an L2 term: g = grad + weightDecay·p.
 */
export class Adam extends Optimizer {
  readonly eps: number;
  #betas: readonly [number, number];

  constructor(params: Parameters | Iterable<ParameterGroup>, options: AdamOptions = {}) {
    const {
      lr = 1e-3,
      betas = [0.9, 0.999],
      eps = 1e-8,
      weightDecay = 0,
    } = optionsOf(new.target.name, options, ["lr", "betas", "eps", "weightDecay"]);
    super(params, { lr, weightDecay });
    expectSetting(new.target.name, { eps });
    this.eps = eps;
    this.#betas = betas;
    this.betas = betas;
  }

  get betas(): readonly [number, number] {
    return this.#betas;
  }
  /** β₁, which schedules may change between steps. */
  set betas(betas: readonly [number, number]) {
    if (!Array.isArray(betas)) throw wrongArgument(`${this.constructor.name}: betas`, "[beta1, beta2]", betas);
    const [beta1, beta2] = betas as readonly [number, number];
    expectShare(this.constructor.name, { "betas[0]": beta1, "betas[1]": beta2 });
    this.#betas = [beta1, beta2];
  }

  protected override stateNames(): readonly string[] {
    return ["step", "exp_avg", "exp_avg_sq"];
  }

  protected override update({ slots, grads, lr, weightDecay }: Update): void {
    const [beta1, beta2] = this.#betas;
    const operands = {
      params: slots.map(({ param }) => param),
      grads,
      expAvgs: slots.map((slot) => bufferOf(slot, "exp_avg")),
      expAvgSqs: slots.map((slot) => bufferOf(slot, "exp_avg_sq")),
      steps: nextSteps(slots),
    };
    this.fusedStep(operands, { lr, beta1, beta2, eps: this.eps, weightDecay });
    for (const slot of slots) setStep(slot, slot.step + 1);
  }

  protected fusedStep(operands: AdamOperands, options: FusedAdamOptions): void {
    fusedAdam(operands, options);
  }
}

/**
 * AdamW (arXiv 1711.05101) as in torch: Adam with decoupled weight decay, which applies p ← p − lr·weightDecay·p before
 * the update. `weightDecay` is 0.01 by default.
 */
export class AdamW extends Adam {
  constructor(params: Parameters | Iterable<ParameterGroup>, options: AdamOptions = {}) {
    const { weightDecay = 0.01, ...others } = optionsOf("AdamW", options, ["lr", "betas", "eps", "weightDecay"]);
    super(params, { weightDecay, ...others });
  }

  protected override fusedStep(operands: AdamOperands, options: FusedAdamOptions): void {
    fusedAdamW(operands, options);
  }
}

/** The step number of each parameter. Parameters with the same number share one tensor. */
function nextSteps(slots: readonly Slot[]): Tensor[] {
  const made = new Map<number, Tensor>();
  return slots.map(({ step }) => {
    const known = made.get(step) ?? tensor([step + 1], { shape: [] });
    made.set(step, known);
    return known;
  });
}

interface FusedAdamOptions {
  lr: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
}

/** Parameters, their gradients and their states. The state tensors are row-major, as `zeros(shape)` makes them. */
interface AdamOperands {
  params: readonly Tensor[];
  grads: readonly Tensor[];
  expAvgs: readonly Tensor[];
  expAvgSqs: readonly Tensor[];
  /** One float32 scalar for each parameter: the number of this step, counted from 1. */
  steps: readonly Tensor[];
}

/** Takes one step of Adam with L2 decay in place: libtorch's `_fused_adam_`. Call it within `noGrad` and `tidy`. */
function fusedAdam({ params, grads, expAvgs, expAvgSqs, steps }: AdamOperands, options: FusedAdamOptions): void {
  const { lr, beta1, beta2, weightDecay, eps } = options;
  inRowMajor(params, grads, (p, g) =>
    rawFusedAdamInPlace(p, g, expAvgs, expAvgSqs, [], steps, lr, beta1, beta2, weightDecay, eps, false, false),
  );
}

/** Takes one step of Adam with decoupled decay in place: libtorch's `_fused_adamw_`. Call it within `noGrad` and `tidy`. */
function fusedAdamW({ params, grads, expAvgs, expAvgSqs, steps }: AdamOperands, options: FusedAdamOptions): void {
  const { lr, beta1, beta2, weightDecay, eps } = options;
  inRowMajor(params, grads, (p, g) =>
    rawFusedAdamwInPlace(p, g, expAvgs, expAvgSqs, [], steps, lr, beta1, beta2, weightDecay, eps, false, false),
  );
}
