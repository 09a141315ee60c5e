import { BatchCamError } from "../errors.ts";
import { arena, type Scalar } from "./dispatch.ts";

// Checks and writes the arguments of operators. `place` names the argument in messages, "narrow: start": callers from
// JavaScript have no compiler that would refuse a string, and libtorch would take it for whatever number it turns into.

export function wrongArgument(place: string, expected: string, value: unknown): BatchCamError {
  return new BatchCamError("E_ARGUMENT", `${place}: expected ${expected}, got ${describeValue(value)}`);
}

/** A value in a message: itself where it is short, else its kind. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined || typeof value === "boolean") return String(value);
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  if (Array.isArray(value)) {
    const plain = value.length <= 8 && value.every((item) => !Array.isArray(item));
    return plain ? `[${value.map(describeValue).join(", ")}]` : `an array of ${value.length}`;
  }
  return typeof value === "object" ? value.constructor?.name || "an object" : `a ${typeof value}`;
}

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

export function putList(start: number, values: readonly number[], place: string): number {
  if (!Array.isArray(values)) throw wrongArgument(place, "an array of integers", values);
  let p = putLength(start, values.length, place);
  for (let i = 0; i < values.length; i++) arena[p++] = integer(values[i], place);
  return p;
}

export function putLength(start: number, length: number, place: string): number {
  if (start + length >= arena.length) {
    throw new BatchCamError("E_ARGUMENT", `${place}: a list of ${length} is too long for one operator call`);
  }
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
