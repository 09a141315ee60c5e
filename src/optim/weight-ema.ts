import { describeValue, expectMap, expectNumber, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { keep, noGrad, type Tensor } from "../tensor/index.ts";
import { expectTensor } from "../tensor/internal.ts";
import { expectShare } from "./parameter-groups.ts";

export interface WeightEmaOptions {
  /** The weight of the previous average at each step (0.9998). */
  decay?: number;
  /** Whether the decay rises to `decay` gradually, so that the average forgets the initial weights quickly. */
  warmup?: boolean;
}

/**
 * A running average of a model's weights: `ema ← d·ema + (1 − d)·weight` after each step, for parameters and
 * floating-point buffers. Integer buffers, which are counts, are copied. d is `decay`, with warm-up `min(decay, 1 − (1
 * + step)^(−2/3))`. The same as timm's `ModelEmaV3`.
 *
 * Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992.
 */
export class WeightEma {
  readonly decay: number;
  readonly warmup: boolean;
  readonly #average: Map<string, Tensor>;

  /** @param state a module's `stateDict()`, which is copied as the first average */
  constructor(state: ReadonlyMap<string, Tensor>, options: WeightEmaOptions = {}) {
    const { decay = 0.9998, warmup = false } = optionsOf("WeightEma", options, ["decay", "warmup"]);
    expectMap("WeightEma: state", state);
    for (const [name, tensor] of state) expectTensor(tensor, `WeightEma: ${describeValue(name)}`);
    expectShare("WeightEma", { decay });
    this.decay = decay;
    this.warmup = warmup;
    this.#average = noGrad(() => new Map(Array.from(state, ([name, tensor]) => [name, keep(tensor.detach().clone())])));
  }

  /** The decay d at a step, counted from 0. */
  decayAt(step: number): number {
    expectNumber("WeightEma: step", step);
    return this.warmup ? Math.min(this.decay, 1 - (1 + step) ** (-2 / 3)) : this.decay;
  }

  /** Adds the weights after a step, counted from 0, to the average. */
  update(state: ReadonlyMap<string, Tensor>, step: number): void {
    const share = 1 - this.decayAt(step);
    noGrad(() => {
      for (const [name, average] of this.#average) {
        const weight = found(state, name, "update");
        if (average.dtype.includes("float")) average.lerp_(weight, share);
        else average.copy_(weight);
      }
    });
  }

  /** The averages by the names of the state. The tensors are not copies, and the next update changes them. */
  state(): ReadonlyMap<string, Tensor> {
    return this.#average;
  }

  /** Copies averages that `state` returned into this object. */
  loadState(state: ReadonlyMap<string, Tensor>): void {
    const saved = new Map(Array.from(this.#average.keys(), (name) => [name, found(state, name, "loadState")]));
    noGrad(() => {
      for (const [name, average] of this.#average) average.copy_(saved.get(name) as Tensor);
    });
  }

  dispose(): void {
    for (const tensor of this.#average.values()) tensor.dispose();
  }
}

function found(state: ReadonlyMap<string, Tensor>, name: string, operation: string): Tensor {
  expectMap(`WeightEma.${operation}: state`, state);
  const tensor = state.get(name);
  if (tensor === undefined) throw new BatchCamError("E_CHECKPOINT", `WeightEma.${operation}: the state lacks ${name}`);
  expectTensor(tensor, `WeightEma.${operation}: ${name}`);
  return tensor;
}
