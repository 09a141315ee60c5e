import { expectNumber, itemsOf, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { keep, noGrad, type Tensor, tidy, zeros } from "../tensor/index.ts";
import { expectTensor, rawForeachMulInPlaceScalar } from "../tensor/internal.ts";
import { checkedState, STEP } from "./optimizer-state.ts";
import {
  expectSetting,
  type Group,
  type ParameterGroup,
  type Parameters,
  readGroups,
  type Slot,
} from "./parameter-groups.ts";

/** The input of one update: the parameters of one group that have a gradient, with their gradients. */
export interface Update {
  readonly slots: readonly Slot[];
  readonly grads: readonly Tensor[];
  readonly lr: number;
  readonly weightDecay: number;
}

/** Updates parameters by their `.grad`. A parameter without a gradient is not changed, and its step is not counted. */
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

  /** The learning rate. If it is set, groups with a rate of their own keep their ratio to it. */
  get lr(): number {
    return this.#lr;
  }
  set lr(value: number) {
    expectNumber(`${this.constructor.name}: lr`, value, "be a number >= 0", (n) => Number.isFinite(n) && n >= 0);
    this.#lr = value;
  }

  /** The learning rate of each group, in the order of the groups. */
  get groupLearningRates(): number[] {
    return this.#groups.map(({ scale }) => this.#lr * scale);
  }

  /** Updates every parameter that has a gradient once. */
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

  /** Removes every gradient: `.grad` is null afterwards, as in torch. */
  zeroGrad(): void {
    for (const { slots } of this.#groups) for (const { param } of slots) param.grad = null;
  }

  /**
   * Moments and step counts under "<parameter>.<torch's name>", for a checkpoint, without the learning rate and the
   * settings. They are the optimizer's own tensors, which the next step changes: clone them to keep their values.
   */
  stateTensors(): Map<string, Tensor> {
    const state = new Map<string, Tensor>();
    for (const slot of this.#allSlots()) {
      for (const name of this.stateNames()) {
        const value = name === STEP ? slot.buffers[STEP]?.fill_(slot.step) : slot.buffers[name];
        if (value !== undefined) state.set(`${slot.name}.${name}`, value);
      }
    }
    return state;
  }

  /**
   * Copies a state that `stateTensors` returned into this optimizer, and converts dtypes. Everything is checked first,
   * so that a failure changes nothing.
   *
   * @throws E_CHECKPOINT for names that do not fit these parameters, E_SHAPE for shapes that do not.
   */
  loadState(state: ReadonlyMap<string, Tensor>): void {
    const names = this.stateNames();
    const steps = checkedState(this.constructor.name, this.#allSlots(), { names, state });
    noGrad(() => {
      for (const slot of this.#allSlots()) {
        const step = steps.get(slot);
        if (step === undefined) {
          forget(slot);
          continue;
        }
        setStep(slot, step);
        for (const name of names)
          if (name !== STEP) bufferOf(slot, name).copy_(state.get(`${slot.name}.${name}`) as Tensor);
      }
    });
  }

  /** Frees the moments; the optimizer then starts from the beginning. */
  dispose(): void {
    for (const slot of this.#allSlots()) forget(slot);
  }

  /** The buffers that each parameter has after its first step; "step" is the step count. */
  protected abstract stateNames(): readonly string[];
  /** The algorithm of the optimizer. It is called within `noGrad` and `tidy`. */
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

/** A buffer of the parameter's shape and dtype that outlives the step. It is zero before the first one. */
export function bufferOf(slot: Slot, name: string): Tensor {
  const { sizes, dtype, device } = slot.param;
  slot.buffers[name] ??= keep(zeros(sizes, { dtype, device }));
  return slot.buffers[name];
}

/** Restores the state before the first step. */
function forget(slot: Slot): void {
  for (const tensor of Object.values(slot.buffers)) tensor.dispose();
  slot.buffers = {};
  slot.step = 0;
}

/** Counts a step of the parameter. The first step creates the tensor that a checkpoint contains. */
export function setStep(slot: Slot, step: number): void {
  slot.step = step;
  slot.buffers[STEP] ??= keep(zeros([]));
}

/**
 * The fused CPU kernels assume, without a check, that all operands have the same memory layout. A channels-last
 * gradient of a row-major weight would be applied to the wrong elements.
 */
export function inRowMajor(
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

/** The L2 norm of each tensor. */
export function normOfEach(tensors: readonly Tensor[]): number[] {
  return tensors.map((tensor) => {
    using norm = tensor.norm();
    return norm.item();
  });
}

/** Multiplies each tensor in place. */
function scaleEach(tensors: readonly Tensor[], factor: number): void {
  rawForeachMulInPlaceScalar(tensors, factor);
}

function gradientsOf(operation: string, params: Parameters): Tensor[] {
  const items = itemsOf<Tensor | readonly [string, Tensor]>(
    `${operation}: params`,
    params,
    "tensors or [name, tensor] pairs",
  );
  return items.flatMap((item) => {
    const tensor = Array.isArray(item) ? item[1] : item;
    expectTensor(tensor, `${operation}: params`);
    return tensor.grad ?? [];
  });
}

/** The L2 norm of all gradients together; 0 without gradients, and not finite if one of them is not. */
export function gradNorm(params: Parameters): number {
  return noGrad(() => tidy(() => Math.hypot(...normOfEach(gradientsOf("gradNorm", params)))));
}

/**
 * Scales all gradients in place by maxNorm / (norm + 1e-6) if their joint L2 norm exceeds maxNorm, as torch's
 * `clip_grad_norm_`.
 *
 * @returns the norm before scaling; if it is not finite, the gradients are useless and the caller must not step.
 */
export function clipGradNorm(params: Parameters, maxNorm: number): number {
  expectNumber("clipGradNorm: maxNorm", maxNorm, "be > 0", (n) => n > 0);
  return noGrad(() =>
    tidy(() => {
      const gradients = gradientsOf("clipGradNorm", params);
      const norm = Math.hypot(...normOfEach(gradients));
      const factor = maxNorm / (norm + 1e-6);
      if (factor < 1) scaleEach(gradients, factor);
      return norm;
    }),
  );
}
