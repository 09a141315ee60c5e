import { wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { native } from "./addon.ts";
import { lastNativeError } from "./native-error.ts";

declare const handleBrand: unique symbol;
/** The handle of a live tensor of this thread's engine: an int32 of a slot and a generation. */
export type Handle = number & { readonly [handleBrand]: true };
/** A number or boolean operand; an integral number is an integer scalar, as in torch. */
export type Scalar = number | boolean;

/**
 * The buffer for arguments and results. Operators read their arguments from it, so that a call into C++ passes only one
 * integer. The layout follows the schema types: a tensor, int, float or bool is one number; a scalar is a tag (0 int, 1
 * float, 2 bool) and a value; a list is its length and its elements; an absent optional argument is NaN. The binding passes the engine's own generator, which has no
 * place in it.
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

/** `run` of an operator that writes to one of its arguments and also returns it. */
export function runWriting(index: number): Handle {
  writes++;
  return run(index);
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
  if (status < 0) throw lastNativeError(operation);
  return status;
}

function failure(index: number): BatchCamError {
  if (index >= 0) return lastNativeError();
  const name = operatorNames[-index - 1];
  return new BatchCamError("E_NATIVE", `${name}: this libtorch has no such operator; use libtorch 2.7 or newer`);
}

// Checks the arguments of operators and writes them to the arena. `place` names the argument in messages, such as
// "narrow: start". The checks are needed because callers from JavaScript have no compiler, and libtorch would convert a
// string to some number.

export function integer(value: number, place: string): number {
  if (!Number.isSafeInteger(value)) throw wrongArgument(place, "an integer", value);
  return value;
}

export function optionalInteger(value: number | undefined, place: string): number {
  return value === undefined || value === null ? Number.NaN : integer(value, place);
}

export function float(value: number, place: string): number {
  if (typeof value !== "number") throw wrongArgument(place, "a number", value);
  return value;
}

export function optionalFloat(value: number | undefined, place: string): number {
  if (value === undefined || value === null) return Number.NaN;
  if (Number.isNaN(value)) throw wrongArgument(place, "a number", value);
  return float(value, place);
}

export function boolean(value: boolean, place: string): boolean {
  if (typeof value !== "boolean") throw wrongArgument(place, "true or false", value);
  return value;
}

export function string(value: string, place: string): string {
  if (typeof value !== "string") throw wrongArgument(place, "a string", value);
  return value;
}

/**
 * Copies a list before anything is written to the arena. Reading a getter or a Proxy may run operators, which write to
 * the arena too.
 */
export function listOf<T>(values: readonly T[], place: string, expected = "an array"): readonly T[] {
  if (!Array.isArray(values)) throw wrongArgument(place, expected, values);
  const count = lengthOf(values.length, place);
  const items = new Array<T>(count);
  for (let i = 0; i < count; i++) items[i] = values[i];
  return items;
}

export function integers(values: readonly number[], place: string): readonly number[] {
  const items = listOf(values, place, "an array of integers");
  for (let i = 0; i < items.length; i++) integer(items[i] as number, place);
  return items;
}

export function optionalIntegers(values: readonly number[] | undefined, place: string): readonly number[] | undefined {
  return values === undefined || values === null ? undefined : integers(values, place);
}

function lengthOf(length: number, place: string): number {
  if (length < arena.length) return length;
  throw new BatchCamError("E_ARGUMENT", `${place}: a list of ${length} is too long for one operator call`);
}

/** Writes a list that `integers` has checked. */
export function putList(start: number, values: readonly number[], place: string): number {
  let p = putLength(start, values.length, place);
  for (let i = 0; i < values.length; i++) arena[p++] = values[i] as number;
  return p;
}

export function putLength(start: number, length: number, place: string): number {
  lengthOf(start + length, place);
  arena[start] = length;
  return start + 1;
}

export function putOptionalList(p: number, values: readonly number[] | undefined, place: string): number {
  if (values !== undefined && values !== null) return putList(p, values, place);
  arena[p] = Number.NaN;
  return p + 1;
}

export function putScalar(p: number, value: Scalar, place: string): number {
  if (typeof value === "boolean") {
    arena[p] = 2;
    arena[p + 1] = value ? 1 : 0;
  } else {
    arena[p] = Number.isSafeInteger(value) && !Object.is(value, -0) ? 0 : 1;
    arena[p + 1] = float(value, place);
  }
  return p + 2;
}

export function putOptionalScalar(p: number, value: Scalar | undefined, place: string): number {
  if (value !== undefined && value !== null) return putScalar(p, value, place);
  arena[p] = Number.NaN;
  return p + 1;
}
