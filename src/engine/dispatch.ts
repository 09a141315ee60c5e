import { BatchCamError, type ErrorCode } from "../errors.ts";
import { native } from "./addon.ts";

declare const handleBrand: unique symbol;
/** The handle of a live tensor of this thread's engine: an int32 of a slot and a generation. */
export type Handle = number & { readonly [handleBrand]: true };
/** A number or boolean operand; an integral number is an integer scalar, as in torch. */
export type Scalar = number | boolean;

/**
 * The buffer for arguments and results. Operators read their arguments from it, so that a call into C++ passes only one
 * integer. The layout follows the schema types: a tensor, int, float or bool is one number; a scalar is a tag (0 int, 1
 * float, 2 bool) and a value; a list is its length and its elements; an absent optional argument is NaN.
 * native/binding/marshal.cc reads the same layout.
 */
export const arena: Float64Array = new Float64Array(1 << 16);
native.bindArena(arena);

const operatorNames: string[] = [];
const strings = new Map<string, number>();

/** Finds an operator. If this libtorch does not have it, calls of the operator fail. */
export function operator(name: string, overload: string): number {
  const index = native.resolve(name, overload);
  if (index >= 0) return index;
  operatorNames.push(overload ? `${name}.${overload}` : name);
  return -operatorNames.length;
}

export function intern(text: string): number {
  let index = strings.get(text);
  if (index === undefined) {
    index = native.internString(text);
    strings.set(text, index);
  }
  return index;
}

export function run(index: number): Handle {
  const handle = native.run(index);
  if (handle < 0) throw failure(index);
  return handle as Handle;
}

let writes = 0;

/** Number of operators that have written to one of their arguments in this thread. */
export const inPlaceCalls = (): number => writes;

export function runInPlace(index: number): void {
  writes++;
  if (native.runInPlace(index) < 0) throw failure(index);
}

/** Runs an operator whose result is a fixed number of tensors. */
export function runTuple(index: number, count: number): Handle[] {
  if (native.run(index) < 0) throw failure(index);
  return Array.from(arena.subarray(0, count)) as Handle[];
}

/** Runs an operator whose result is a list of tensors. */
export function runList(index: number): Handle[] {
  if (native.run(index) < 0) throw failure(index);
  return Array.from(arena.subarray(1, 1 + (arena[0] as number))) as Handle[];
}

/** Runs an operator whose result is a number or boolean. */
export function runNumber(index: number): number {
  if (native.run(index) < 0) throw failure(index);
  return arena[0] as number;
}

/** Throws if a native function other than `run` reports failure. */
export function check(operation: string, status: number): number {
  if (status < 0) throw nativeError(`${operation}: ${native.lastError()}`);
  return status;
}

function failure(index: number): BatchCamError {
  if (index >= 0) return nativeError(native.lastError());
  const name = operatorNames[-index - 1];
  return new BatchCamError("E_NATIVE", `${name}: this libtorch has no such operator; use libtorch 2.7 or newer`);
}

/**
 * Patterns in libtorch's messages that distinguish a wrong shape or dtype, which is the caller's mistake, from a
 * failure of the engine.
 */
const CAUSES: readonly (readonly [ErrorCode, RegExp])[] = [
  ["E_DISPOSED", /used after it was disposed/],
  ["E_DTYPE", /dtype|scalar type|ScalarType|can't be cast|not implemented for '|input type|LongTensor|boolean tensor/i],
  [
    "E_SHAPE",
    /size|shape|dimension|number of channels|must match|out of range|out of bounds|expected \d|at least \d|non-singleton|elements not|\bdims?\b|\dD tensor/i,
  ],
];

function nativeError(text: string): BatchCamError {
  const code = CAUSES.find(([, pattern]) => pattern.test(text))?.[0] ?? "E_NATIVE";
  return new BatchCamError(code, text);
}
