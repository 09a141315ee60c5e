import { types } from "node:util";
import { wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import {
  closeScope,
  currentScope,
  handleOf,
  isTensor,
  moveToScope,
  Scope,
  scopeOf,
  setCurrentScope,
  type TensorCore,
} from "./core.ts";

/**
 * Runs `fn` and frees every tensor made in it, but for those in its result (a tensor, or an array, Map or plain object
 * of them, nested) and those given to `keep`. Synchronous: a promise is refused with E_ARGUMENT. Scopes nest; a result
 * belongs to the enclosing scope. Where `fn` throws, everything it made is freed.
 */
export function tidy<T>(fn: () => T): T {
  const scope = new Scope(currentScope());
  setCurrentScope(scope);
  try {
    const result = callSync("tidy", fn);
    forEachTensor(result, (tensor) => {
      // One that fn found and did not make stays where it belongs.
      if (scopeOf(tensor) === scope) moveToScope(tensor, scope.parent);
    });
    return result;
  } finally {
    setCurrentScope(scope.parent);
    closeScope(scope);
  }
}

/** Exempts a tensor from every enclosing tidy; it lives until it is disposed or forgotten. */
export function keep<T extends TensorCore>(tensor: T): T {
  handleOf(tensor, "keep: tensor");
  moveToScope(tensor, null);
  return tensor;
}

/** Calls a function of the user's whose effect ends with it, so that a promise for a result would outlive it. */
export function callSync<T>(operation: string, fn: () => T): T {
  if (typeof fn !== "function") throw wrongArgument(operation, "a function", fn);
  const result = fn();
  if (typeof (result as { then?: unknown } | null | undefined)?.then === "function") {
    throw new BatchCamError("E_ARGUMENT", `${operation}: the function must be synchronous, it returned a promise`);
  }
  return result;
}

/** Visits every tensor of a result, however deep: with a list of what is still to be looked at, and no recursion. */
function forEachTensor(result: unknown, visit: (tensor: TensorCore) => void): void {
  if (typeof result !== "object" || result === null) return;
  const seen = new Set<object>();
  const open: unknown[] = [result];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value !== "object" || value === null) continue;
    if (isTensor(value)) visit(value);
    else if (!seen.has(value)) {
      seen.add(value);
      for (const item of partsOf(value)) open.push(item);
    }
  }
}

function partsOf(value: object): Iterable<unknown> {
  if (Array.isArray(value)) return Object.values(value);
  if (types.isMap(value)) return Map.prototype.values.call(value);
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null ? Object.values(value) : [];
}
