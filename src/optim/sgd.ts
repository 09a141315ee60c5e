import { optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import type { Tensor } from "../tensor/index.ts";
import { rawFusedSgdInPlace } from "../tensor/internal.ts";
import { bufferOf, inRowMajor, Optimizer, type Update } from "./optimizer.ts";
import { expectSetting, expectShare, type ParameterGroup, type Parameters, type Slot } from "./parameter-groups.ts";

export interface SGDOptions {
  lr: number;
  momentum?: number;
  nesterov?: boolean;
  /** The factor of an L2 term: weightDecay·p is added to the gradient. */
  weightDecay?: number;
  dampening?: number;
}

/**
 * Stochastic gradient descent as in torch: g ← grad + weightDecay·p; m ← momentum·m + (1 − dampening)·g, with m = g at the
 * first step; p ← p − lr·m, or with nesterov p ← p − lr·(g + momentum·m).
 */
export class SGD extends Optimizer {
  readonly nesterov: boolean;
  readonly dampening: number;
  #momentum: number;

  constructor(params: Parameters | Iterable<ParameterGroup>, options: SGDOptions) {
    const {
      lr,
      momentum = 0,
      nesterov = false,
      weightDecay = 0,
      dampening = 0,
    } = optionsOf("SGD", options, ["lr", "momentum", "nesterov", "weightDecay", "dampening"]);
    super(params, { lr, weightDecay });
    expectSetting("SGD", { dampening });
    expectShare("SGD", { momentum });
    if (nesterov && (momentum === 0 || dampening !== 0)) {
      throw new BatchCamError(
        "E_ARGUMENT",
        `SGD: nesterov needs momentum > 0 and dampening 0, got ${momentum} and ${dampening}`,
      );
    }
    this.nesterov = nesterov;
    this.dampening = dampening;
    this.#momentum = momentum;
  }

  get momentum(): number {
    return this.#momentum;
  }
  /** The momentum, which schedules may change between steps, but not between zero and non-zero. */
  set momentum(value: number) {
    expectShare("SGD", { momentum: value });
    if ((value === 0) !== (this.#momentum === 0)) {
      throw new BatchCamError(
        "E_ARGUMENT",
        `SGD: momentum cannot change from ${this.#momentum} to ${value}; make another optimizer`,
      );
    }
    this.#momentum = value;
  }

  protected override stateNames(): readonly string[] {
    return this.#momentum === 0 ? [] : ["momentum_buffer"];
  }

  protected override update({ slots, grads, lr, weightDecay }: Update): void {
    const isFirst = (slot: Slot) => this.#momentum !== 0 && slot.buffers.momentum_buffer === undefined;
    // The momentum of a parameter starts at the step in which it gets its first gradient, which may be later than for
    // others.
    for (const isFirstStep of [false, true]) {
      const chosen = [...slots.keys()].filter((index) => isFirst(slots[index] as Slot) === isFirstStep);
      if (chosen.length > 0) this.#updateAlike({ slots, grads, lr, weightDecay }, chosen, isFirstStep);
    }
  }

  #updateAlike({ slots, grads, lr, weightDecay }: Update, chosen: readonly number[], isFirstStep: boolean): void {
    const own = chosen.map((index) => slots[index] as Slot);
    const operands = {
      params: own.map(({ param }) => param),
      grads: chosen.map((index) => grads[index] as Tensor),
      buffers: this.#momentum === 0 ? [] : own.map((slot) => bufferOf(slot, "momentum_buffer")),
    };
    const { momentum, dampening, nesterov } = this;
    fusedSgd(operands, { lr, momentum, dampening, weightDecay, nesterov, isFirstStep });
  }
}

interface FusedSgdOptions {
  lr: number;
  momentum: number;
  dampening: number;
  weightDecay: number;
  nesterov: boolean;
  /** Whether the momentum buffers have no values yet. */
  isFirstStep: boolean;
}

/** Takes one step of SGD in place, in one pass over memory: libtorch's `_fused_sgd_`. Call it within `noGrad` and `tidy`. */
function fusedSgd(
  { params, grads, buffers }: { params: readonly Tensor[]; grads: readonly Tensor[]; buffers: readonly Tensor[] },
  { lr, momentum, dampening, weightDecay, nesterov, isFirstStep }: FusedSgdOptions,
): void {
  inRowMajor(params, grads, (p, g) =>
    rawFusedSgdInPlace(p, g, buffers, weightDecay, momentum, lr, dampening, nesterov, false, isFirstStep),
  );
}
