import { describeValue, expectMap } from "../arguments.ts";
import { counted, wordFor } from "../counted.ts";
import { BatchCamError } from "../errors.ts";
import type { Tensor } from "../tensor/index.ts";
import { expectTensor } from "../tensor/internal.ts";
import type { Slot } from "./parameter-groups.ts";

/** The name of the buffer that holds the number of a parameter's steps. */
export const STEP = "step";

interface LoadRequest {
  readonly names: readonly string[];
  readonly state: ReadonlyMap<string, Tensor>;
}

/**
 * Checks a complete state that `Optimizer.stateTensors` returned.
 *
 * @returns the number of steps of each parameter that has a state
 */
export function checkedState(
  operation: string,
  slots: readonly Slot[],
  { names, state }: LoadRequest,
): Map<Slot, number> {
  expectMap(`${operation}.loadState: state`, state);
  for (const [name, tensor] of state) expectTensor(tensor, `${operation}.loadState: ${describeValue(name)}`);
  expectKnown(operation, slots, { names, state });
  const full = slots.filter((slot) => hasState(operation, slot, { names, state }));
  return new Map(full.map((slot) => [slot, readStep(operation, slot, state)]));
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

/** Whether the state is complete for a parameter; a parameter without a step has no state. */
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
