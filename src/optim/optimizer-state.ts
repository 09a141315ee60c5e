import { describeValue, expectMap } from "../arguments.ts";
import { counted, wordFor } from "../counted.ts";
import { BatchCamError } from "../errors.ts";
import { handleOf } from "../tensor/core.ts";
import { keep, noGrad, type Tensor, zeros } from "../tensor/index.ts";
import type { Slot } from "./parameters.ts";

const STEP = "step";

/** A buffer of the parameter's shape and dtype, zero at first, which outlives the step. */
export function bufferOf(slot: Slot, name: string): Tensor {
  const { sizes, dtype, device } = slot.param;
  slot.buffers[name] ??= keep(zeros(sizes, { dtype, device }));
  return slot.buffers[name];
}

/** Back to the state before the first step. */
export function forget(slot: Slot): void {
  for (const tensor of Object.values(slot.buffers)) tensor.dispose();
  slot.buffers = {};
  slot.step = 0;
}

export function stateOf(slots: readonly Slot[], names: readonly string[]): Map<string, Tensor> {
  const state = new Map<string, Tensor>();
  for (const slot of slots) {
    for (const name of names) {
      const value = name === STEP ? countOf(slot) : slot.buffers[name];
      if (value !== undefined) state.set(`${slot.name}.${name}`, value);
    }
  }
  return state;
}

function countOf(slot: Slot): Tensor | undefined {
  return slot.buffers[STEP]?.fill_(slot.step);
}

/** Counts the parameter's steps; the tensor that a checkpoint holds is made with the first. */
export function setStep(slot: Slot, step: number): void {
  slot.step = step;
  slot.buffers[STEP] ??= keep(zeros([]));
}

interface LoadRequest {
  readonly names: readonly string[];
  readonly state: ReadonlyMap<string, Tensor>;
}

export function loadSlots(operation: string, slots: readonly Slot[], { names, state }: LoadRequest): void {
  expectMap(`${operation}.loadState: state`, state);
  for (const [name, tensor] of state) handleOf(tensor, `${operation}.loadState: ${describeValue(name)}`);
  expectKnown(operation, slots, { names, state });
  const full = slots.filter((slot) => hasState(operation, slot, { names, state }));
  const steps = full.map((slot) => readStep(operation, slot, state));
  noGrad(() => {
    for (const slot of slots) if (!full.includes(slot)) forget(slot);
    for (const [index, slot] of full.entries()) {
      setStep(slot, steps[index] as number);
      for (const name of names)
        if (name !== STEP) bufferOf(slot, name).copy_(state.get(`${slot.name}.${name}`) as Tensor);
    }
  });
}

function expectKnown(operation: string, slots: readonly Slot[], { names, state }: LoadRequest): void {
  const known = new Set(slots.flatMap((slot) => names.map((name) => `${slot.name}.${name}`)));
  const unexpected = [...state.keys()].filter((key) => !known.has(key));
  if (unexpected.length === 0) return;
  const listed =
    unexpected.slice(0, 10).map(String).join(", ") +
    (unexpected.length > 10 ? ` and ${unexpected.length - 10} more` : "");
  throw new BatchCamError(
    "E_CHECKPOINT",
    `${operation}.loadState: ${counted(unexpected.length, "name")} ${wordFor(unexpected.length, "fits", "fit")} no parameter of this optimizer (${listed}); was the state saved by another optimizer or model?`,
  );
}

/** Whether the state has all that a parameter needs; one without a step has nothing. */
function hasState(operation: string, slot: Slot, { names, state }: LoadRequest): boolean {
  const missing = names.filter((name) => !state.has(`${slot.name}.${name}`));
  if (missing.length === names.length) return false;
  if (missing.length > 0) {
    throw new BatchCamError(
      "E_CHECKPOINT",
      `${operation}.loadState: "${slot.name}" lacks ${missing.join(", ")}; the state is incomplete`,
    );
  }
  for (const name of names) {
    const [wanted, got] = [name === STEP ? [] : slot.param.sizes, state.get(`${slot.name}.${name}`)?.sizes ?? []];
    if (wanted.join() === got.join()) continue;
    throw new BatchCamError(
      "E_SHAPE",
      `${operation}.loadState: ${slot.name}.${name} must be [${wanted.join(", ")}], got [${got.join(", ")}]`,
    );
  }
  return true;
}

function readStep(operation: string, slot: Slot, state: ReadonlyMap<string, Tensor>): number {
  const count = state.get(`${slot.name}.${STEP}`)?.item() ?? 0;
  if (Number.isSafeInteger(count) && count >= 0) return count;
  throw new BatchCamError("E_CHECKPOINT", `${operation}.loadState: ${slot.name}.${STEP} must be a count, got ${count}`);
}
