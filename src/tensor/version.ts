import { native } from "../native/addon.ts";
import { check } from "../native/dispatch.ts";
import { handleOf, type TensorCore } from "./core.ts";

/** Changes that libtorch makes without counting them. */
const uncounted = new WeakMap<TensorCore, number>();

/** Says that a tensor was changed in place by an operator that does not count it, as batch norm does its running statistics. */
export function countChange(tensor: TensorCore): void {
  uncounted.set(tensor, (uncounted.get(tensor) ?? 0) + 1);
}

/** How often a tensor was changed in place: what is derived from it holds as long as this does not change. */
export function versionOf(tensor: TensorCore): number {
  return check("versionOf", native.versionOf(handleOf(tensor, "versionOf"))) + (uncounted.get(tensor) ?? 0);
}
