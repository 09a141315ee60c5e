import { optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { noGrad, type Tensor, tidy } from "../tensor/index.ts";
import { forget, loadSlots, stateOf } from "./optimizer-state.ts";
import {
  expectSetting,
  type Group,
  type ParameterGroup,
  type Parameters,
  readGroups,
  type Slot,
} from "./parameters.ts";

/** What one update works on: slots of one group that have a gradient, with their gradients. */
export interface Update {
  readonly slots: readonly Slot[];
  readonly grads: readonly Tensor[];
  readonly lr: number;
  readonly weightDecay: number;
}

/** Changes parameters by their `.grad`. A parameter without one is left alone, and takes no step. */
export abstract class Optimizer {
  readonly #groups: readonly Group[];
  #lr: number;

  constructor(params: Parameters | Iterable<ParameterGroup>, options: { lr: number; weightDecay: number }) {
    const { lr, weightDecay } = optionsOf(new.target.name, options, ["lr", "weightDecay"]);
    if (typeof this.update !== "function") {
      throw new BatchCamError(
        "E_ARGUMENT",
        `${new.target.name}: an optimizer needs an update method; use SGD, Adam or AdamW`,
      );
    }
    expectSetting(new.target.name, { lr, weightDecay });
    this.#groups = readGroups(new.target.name, params, { lr, weightDecay });
    this.#lr = lr;
  }

  /** The learning rate; groups with a rate of their own keep their ratio to it. */
  get lr(): number {
    return this.#lr;
  }
  set lr(value: number) {
    expectSetting(this.constructor.name, { lr: value });
    this.#lr = value;
  }

  /** The rate that each group uses, in the order of the groups. */
  get groupLearningRates(): number[] {
    return this.#groups.map(({ scale }) => this.#lr * scale);
  }

  /** One update of every parameter that has a gradient. */
  step(): void {
    noGrad(() =>
      tidy(() => {
        for (const group of this.#groups) this.#stepGroup(group);
      }),
    );
  }

  #stepGroup({ slots, scale, weightDecay }: Group): void {
    const ready: Slot[] = [];
    const grads: Tensor[] = [];
    for (const slot of slots) {
      const grad = slot.param.grad;
      if (grad === null) continue;
      expectLike(this.constructor.name, slot, grad);
      ready.push(slot);
      grads.push(grad);
    }
    if (ready.length > 0) this.update({ slots: ready, grads, lr: this.#lr * scale, weightDecay });
  }

  /** Drops every gradient; `.grad` is null afterwards, as in torch. */
  zeroGrad(): void {
    for (const { slots } of this.#groups) for (const { param } of slots) param.grad = null;
  }

  /**
   * Moments and step counts under "<parameter>.<torch's name>", for a checkpoint; learning rate and settings are not
   * among them. They are the optimizer's own tensors, and the next step changes them: clone what is to last.
   */
  stateTensors(): Map<string, Tensor> {
    return stateOf(this.#allSlots(), this.stateNames());
  }

  /**
   * Takes over what `stateTensors` gave, converting dtypes; checked as a whole first.
   *
   * @throws E_CHECKPOINT for names that do not fit these parameters, E_SHAPE for shapes that do not.
   */
  loadState(state: ReadonlyMap<string, Tensor>): void {
    loadSlots(this.constructor.name, this.#allSlots(), { names: this.stateNames(), state });
  }

  /** Frees the moments; the optimizer then starts anew. */
  dispose(): void {
    for (const slot of this.#allSlots()) forget(slot);
  }

  /** The buffers that each parameter has after its first step; "step" stands for the count. */
  protected abstract stateNames(): readonly string[];
  /** The algorithm; called without recording, inside tidy. */
  protected abstract update(update: Update): void;

  #allSlots(): Slot[] {
    return this.#groups.flatMap(({ slots }) => slots);
  }
}

function expectLike(operation: string, { name, param }: Slot, grad: Tensor): void {
  if (grad.dtype === param.dtype && grad.device === param.device && grad.sizes.join() === param.sizes.join()) return;
  const describe = (tensor: Tensor) => `${tensor.dtype}[${tensor.sizes.join(", ")}] on ${tensor.device}`;
  throw new BatchCamError(
    "E_SHAPE",
    `${operation}: the gradient of "${name}" must be ${describe(param)}, got ${describe(grad)}`,
  );
}
