import { wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { arena, type Scalar } from "./dispatch.ts";

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
