import { describeValue, expectNumber, optionsOf, wrongArgument } from "../arguments.ts";
import { counted } from "../counted.ts";
import { boolean, check, type Handle, listOf, native, putList, type Scalar } from "../engine/internal.ts";
import { BatchCamError } from "../errors.ts";
import { codeOf, DTYPES, type DType, dtypeOfArray, type TypedArray } from "./dtype.ts";
import * as aten from "./generated/aten.ts";
import type { Leaf, NestedArray } from "./print.ts";
import { Tensor } from "./tensor.ts";

export interface TensorOptions {
  dtype?: DType;
  device?: string;
  requiresGrad?: boolean;
}

const TENSOR_OPTIONS = ["dtype", "device", "requiresGrad"] as const satisfies (keyof TensorOptions)[];

function finish(made: Tensor, { requiresGrad = false }: TensorOptions): Tensor {
  return boolean(requiresGrad, "requiresGrad") ? made.requiresGrad_() : made;
}

/** Returns the code of the dtype after checking that the engine supports the options. */
function checkedDType({ dtype = "float32", device = "cpu" }: TensorOptions): number {
  if (device !== "cpu") throw wrongArgument("device", '"cpu", the only device of this engine', device);
  return codeOf(dtype);
}

function checkedShape(operation: string, shape: readonly number[]): readonly number[] {
  // A copy is checked, because a getter may return another value the next time.
  const sizes = Array.isArray(shape) ? listOf(shape, `${operation}: shape`) : undefined;
  if (sizes?.every((size) => Number.isSafeInteger(size) && size >= 0)) return sizes;
  throw new BatchCamError(
    "E_SHAPE",
    `${operation}: shape must be an array of integers >= 0, got ${describeValue(shape)}`,
  );
}

/**
 * Makes a tensor from a typed array, which is copied and determines the default dtype, or from nested arrays (float32;
 * for booleans bool, for bigints int64).
 *
 * @throws E_SHAPE for ragged arrays or a shape that does not fit the number of values.
 */
export function tensor(
  data: ArrayBufferView | NestedArray,
  options: TensorOptions & { shape?: readonly number[] } = {},
): Tensor {
  optionsOf("tensor", options, ["dtype", "device", "requiresGrad", "shape"]);
  checkedDType(options);
  const { values, shape: natural, dtype } = ArrayBuffer.isView(data) ? readView(data) : readNested(data, options.dtype);
  const shape = checkedShape("tensor", options.shape ?? natural);
  const count = shape.reduce((product, size) => product * size, 1);
  if (count !== values.length) {
    throw new BatchCamError(
      "E_SHAPE",
      `tensor: shape [${shape}] holds ${counted(count, "value")}, got ${values.length}`,
    );
  }
  putList(0, shape, "tensor: shape");
  const stored = DTYPES[dtypeOfArray(values) as DType].code;
  const made = new Tensor(check("tensor", native.fromBytes(values, stored)) as Handle);
  const wanted = options.dtype ?? dtype;
  if (stored === codeOf(wanted)) return finish(made, options);
  const converted = made.to(wanted);
  made.dispose();
  return finish(converted, options);
}

function readView(values: ArrayBufferView): { values: TypedArray; shape: number[]; dtype: DType } {
  const dtype = dtypeOfArray(values);
  if (dtype === undefined) {
    throw new BatchCamError(
      "E_DTYPE",
      `tensor: ${describeValue(values)} has no tensor dtype; use Float32Array, BigInt64Array, Uint8Array ...`,
    );
  }
  return { values: values as TypedArray, shape: [(values as TypedArray).length], dtype };
}

export function empty(shape: readonly number[], options: TensorOptions = {}): Tensor {
  optionsOf("empty", options, TENSOR_OPTIONS);
  return finish(new Tensor(aten.emptyMemoryFormat(checkedShape("empty", shape), checkedDType(options))), options);
}

export function full(shape: readonly number[], value: Scalar, options: TensorOptions = {}): Tensor {
  return filled("full", [shape, value], options);
}

export function zeros(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return filled("zeros", [shape, 0], options);
}

export function ones(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return filled("ones", [shape, 1], options);
}

function filled(
  operation: string,
  [shape, value]: readonly [readonly number[], Scalar],
  options: TensorOptions,
): Tensor {
  optionsOf(operation, options, TENSOR_OPTIONS);
  return finish(new Tensor(aten.full(checkedShape(operation, shape), value, checkedDType(options))), options);
}

export function zerosLike(other: Tensor): Tensor {
  return new Tensor(aten.zerosLike(other));
}

export function onesLike(other: Tensor): Tensor {
  return new Tensor(aten.onesLike(other));
}

export function eye(n: number, options: TensorOptions = {}): Tensor {
  optionsOf("eye", options, TENSOR_OPTIONS);
  return finish(new Tensor(aten.eye(n, checkedDType(options))), options);
}

/**
 * The numbers 0 to n − 1, or from `start` in steps of `step` up to, but not including, `end`. The dtype is int64 unless
 * a bound is fractional or a dtype is given.
 */
export function arange(start: number, end?: number, options: TensorOptions & { step?: number } = {}): Tensor {
  optionsOf("arange", options, ["dtype", "device", "requiresGrad", "step"]);
  const [from, to, step] = end === undefined ? [0, start, options.step ?? 1] : [start, end, options.step ?? 1];
  for (const [argument, value] of Object.entries({ start: from, end: to, step }))
    expectNumber(`arange: ${argument}`, value);
  const dtype = options.dtype ?? ([from, to, step].every(Number.isInteger) ? "int64" : "float32");
  return finish(new Tensor(aten.arangeStartStep(from, to, step, checkedDType({ ...options, dtype }))), options);
}

/** Standard normal values, the same as torch draws for the same seed. */
export function randn(shape: readonly number[], options: TensorOptions = {}): Tensor {
  optionsOf("randn", options, TENSOR_OPTIONS);
  return finish(empty(shape, { ...options, requiresGrad: false }).normal_(), options);
}

/** Uniform values in [0, 1), the same as torch draws for the same seed. */
export function rand(shape: readonly number[], options: TensorOptions = {}): Tensor {
  optionsOf("rand", options, TENSOR_OPTIONS);
  return finish(empty(shape, { ...options, requiresGrad: false }).uniform_(), options);
}

/** A random permutation of 0 … n − 1, int64. */
export function randperm(n: number): Tensor {
  return new Tensor(aten.randpermGenerator(n, codeOf("int64")));
}

interface NestedValues {
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
function readNested(data: NestedArray, wanted: DType | undefined): NestedValues {
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
