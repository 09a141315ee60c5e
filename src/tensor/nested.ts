import { describeValue } from "../arguments.ts";
import { counted } from "../counted.ts";
import { BatchCamError } from "../errors.ts";
import { DTYPES, type DType } from "./dtype.ts";

type Leaf = number | bigint | boolean;
export type NestedArray = Leaf | readonly NestedArray[];

export interface NestedValues {
  values: BigInt64Array | Uint8Array | Float64Array;
  shape: number[];
  dtype: DType;
}

/** The largest number of dimensions in most operators of libtorch. The limit also stops the search in an array that contains itself. */
const MAX_DEPTH = 64;

/**
 * The values, row-major, and the shape of nested arrays. Unless a dtype is given, values that are all booleans give bool, values with a
 * bigint give int64, and other values give float32.
 */
export function readNested(data: NestedArray, wanted: DType | undefined): NestedValues {
  const shape: number[] = [];
  for (let level: NestedArray | undefined = data; Array.isArray(level); level = level[0]) {
    if (shape.push(level.length) > MAX_DEPTH) {
      throw new BatchCamError("E_SHAPE", `tensor: expected at most ${MAX_DEPTH} dimensions, got arrays nested deeper`);
    }
  }
  const flat: Leaf[] = [];
  collect(data, shape, 0, flat);
  const dtype = wanted ?? naturalDType(flat);
  if (!DTYPES[dtype].floating && dtype !== "bool") checkIntegers(flat, dtype);
  if (dtype === "int64") return { values: BigInt64Array.from(flat, BigInt), shape, dtype };
  if (dtype === "bool") return { values: Uint8Array.from(flat, (leaf) => (leaf ? 1 : 0)), shape, dtype };
  // float64 represents every number exactly, and the engine rounds it once.
  return { values: Float64Array.from(flat, Number), shape, dtype };
}

function naturalDType(flat: readonly Leaf[]): DType {
  if (flat.some((leaf) => typeof leaf === "bigint")) return "int64";
  return flat.length > 0 && flat.every((leaf) => typeof leaf === "boolean") ? "bool" : "float32";
}

function checkIntegers(flat: readonly Leaf[], dtype: DType): void {
  const bits = 8 * DTYPES[dtype].bytes;
  const [low, high] = dtype === "uint8" ? [0n, 255n] : [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n];
  for (const leaf of flat) {
    const exact = typeof leaf !== "number" || Number.isSafeInteger(leaf);
    if (!exact || BigInt(leaf) < low || BigInt(leaf) > high) {
      throw new BatchCamError(
        "E_DTYPE",
        `tensor: expected integers from ${low} to ${high} for ${dtype}, got ${describeValue(leaf)}`,
      );
    }
  }
}

function collect(data: NestedArray, shape: readonly number[], depth: number, out: Leaf[]): void {
  const expected = shape[depth];
  if (expected === undefined) {
    if (typeof data !== "number" && typeof data !== "bigint" && typeof data !== "boolean") {
      throw new BatchCamError(
        "E_SHAPE",
        `tensor: expected a number at depth ${depth} of the nested array, got ${describeValue(data)}`,
      );
    }
    out.push(data);
    return;
  }
  if (!Array.isArray(data) || data.length !== expected) {
    const got = Array.isArray(data) ? `${data.length}` : describeValue(data);
    throw new BatchCamError(
      "E_SHAPE",
      `tensor: ragged nested array: expected ${counted(expected, "element")} at depth ${depth}, got ${got}`,
    );
  }
  for (const item of data as readonly NestedArray[]) collect(item, shape, depth + 1, out);
}

/** Converts the values of a tensor's `data()` to those that `tolist` returns. */
export function leavesOf(data: ArrayLike<number | bigint>, dtype: DType): Leaf[] {
  if (dtype === "bool") return Array.from(data, (value) => value !== 0);
  const values = Array.from(data);
  const numbers = values.map(Number);
  return numbers.every(Number.isSafeInteger) || dtype !== "int64" ? numbers : values;
}

/** Converts values in row-major order to nested arrays of a shape. */
export function nestedOf(leaves: readonly Leaf[], shape: readonly number[]): NestedArray {
  const [size, ...inner] = shape;
  if (size === undefined) return leaves[0] as Leaf;
  const step = inner.reduce((product, length) => product * length, 1);
  return Array.from({ length: size }, (_, i) => nestedOf(leaves.slice(i * step, (i + 1) * step), inner));
}
