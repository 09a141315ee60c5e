import { BatchCamError } from "../errors.ts";
import { native } from "../native/addon.ts";
import { arena } from "../native/dispatch.ts";
import { closeScope, currentScope, handleOf, moveToScope, Scope, setCurrentScope, TensorCore } from "./core.ts";

/**
 * Runs `fn` and frees every tensor made in it, but for those in its result (a tensor, or an array, Map or plain object
 * of them, nested) and those given to `keep`. Synchronous: a promise is refused with E_ARGUMENT. Scopes nest; a result
 * belongs to the enclosing scope. Where `fn` throws, everything it made is freed.
 */
export function tidy<T>(fn: () => T): T {
  const scope = new Scope(currentScope());
  setCurrentScope(scope);
  try {
    const result = fn();
    refusePromise("tidy", result);
    forEachTensor(result, (tensor) => moveToScope(tensor, scope.parent));
    return result;
  } finally {
    setCurrentScope(scope.parent);
    closeScope(scope);
  }
}

/** Exempts a tensor from every enclosing tidy; it lives until it is disposed or forgotten. */
export function keep<T extends TensorCore>(tensor: T): T {
  handleOf(tensor);
  moveToScope(tensor, null);
  return tensor;
}

export function refusePromise(operation: string, result: unknown): void {
  if (result instanceof Promise) {
    throw new BatchCamError("E_ARGUMENT", `${operation}: the function must be synchronous, it returned a promise`);
  }
}

function forEachTensor(value: unknown, visit: (tensor: TensorCore) => void): void {
  if (typeof value !== "object" || value === null) return;
  if (value instanceof TensorCore) visit(value);
  else if (Array.isArray(value)) for (const item of value) forEachTensor(item, visit);
  else if (value instanceof Map) for (const item of value.values()) forEachTensor(item, visit);
  else if (Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) forEachTensor(item, visit);
  }
}

export interface MemoryStatistics {
  /** Tensors of this thread that are not yet disposed. */
  liveTensors: number;
  /** Bytes of tensor memory in the process, whatever holds it: tensors, graphs, caches. */
  bytes: number;
  /** The most that `bytes` has been, since the start or the last `resetPeakMemory`. */
  peakBytes: number;
}

export function memory(): MemoryStatistics {
  native.memory();
  const [liveTensors = 0, bytes = 0, peakBytes = 0] = arena;
  return { liveTensors, bytes, peakBytes };
}

export function resetPeakMemory(): void {
  native.resetPeak();
}
