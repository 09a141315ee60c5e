import { BatchCamError } from "../errors.ts";
import { native } from "../native/addon.ts";
import { arena, check, type Handle, putList, type Scalar } from "../native/dispatch.ts";
import { handleOf } from "./core.ts";
import { codeOf, type DType, dtypeOfArray, DTYPES } from "./dtype.ts";
import * as aten from "./generated/aten.ts";
import { Tensor } from "./tensor.ts";

type Leaf = number | bigint | boolean;
export type NestedArray = Leaf | readonly NestedArray[];

export interface TensorOptions {
  dtype?: DType;
  device?: string;
  requiresGrad?: boolean;
}

function finish(handle: Handle, { device, requiresGrad }: TensorOptions): Tensor {
  let made = new Tensor(handle);
  if (device !== undefined && device !== "cpu") made = made.to(device);
  if (requiresGrad) made.requiresGrad = true;
  return made;
}

function checkedShape(operation: string, shape: readonly number[]): readonly number[] {
  if (!Array.isArray(shape) || shape.some((size) => !Number.isSafeInteger(size) || size < 0)) {
    throw new BatchCamError("E_SHAPE", `${operation}: shape must be an array of integers >= 0, got ${JSON.stringify(shape)}`);
  }
  return shape;
}

/**
 * A tensor from a typed array (copied; its own dtype unless told otherwise) or from nested arrays (float32; booleans give
 * bool, bigints int64).
 *
 * @throws E_SHAPE for ragged arrays or a shape that does not fit the number of values.
 */
export function tensor(data: ArrayBufferView | NestedArray, options: TensorOptions & { shape?: readonly number[] } = {}): Tensor {
  const source = ArrayBuffer.isView(data) ? data : fromNested(data, options.dtype);
  const values = ArrayBuffer.isView(source) ? source : source.values;
  const stored = dtypeOfArray(values);
  if (stored === undefined) {
    throw new BatchCamError("E_DTYPE", `tensor: ${values.constructor.name} has no tensor dtype; use Float32Array, BigInt64Array, Uint8Array ...`);
  }
  const shape = checkedShape("tensor", options.shape ?? (ArrayBuffer.isView(source) ? [(values as Uint8Array).length] : source.shape));
  const count = shape.reduce((product, size) => product * size, 1);
  if (count !== (values as Uint8Array).length) {
    throw new BatchCamError("E_SHAPE", `tensor: shape [${shape}] holds ${count} values, got ${(values as Uint8Array).length}`);
  }
  putList(0, shape);
  const made = new Tensor(check("tensor", native.fromBytes(values, DTYPES[stored].code)) as Handle);
  const dtype = options.dtype ?? (ArrayBuffer.isView(source) ? stored : source.dtype);
  const converted = dtype === stored ? made : made.to(dtype);
  if (converted !== made) made.dispose();
  if (options.device !== undefined && options.device !== "cpu") return converted.to(options.device);
  if (options.requiresGrad) converted.requiresGrad = true;
  return converted;
}

function fromNested(data: NestedArray, dtype: DType | undefined): { values: TypedValues; shape: number[]; dtype: DType } {
  const shape: number[] = [];
  for (let level: NestedArray | undefined = data; Array.isArray(level); level = level[0]) shape.push(level.length);
  const flat: Leaf[] = [];
  collect(data, shape, 0, flat);
  const first = flat[0];
  const natural: DType = typeof first === "bigint" ? "int64" : typeof first === "boolean" ? "bool" : "float32";
  const target = dtype ?? natural;
  if (target === "int64" || natural === "int64") return { values: BigInt64Array.from(flat, toBigInt), shape, dtype: target };
  if (natural === "bool") return { values: Uint8Array.from(flat, Number), shape, dtype: target };
  // float64 holds every number exactly; the engine narrows it once.
  return { values: Float64Array.from(flat, Number), shape, dtype: target };
}

type TypedValues = BigInt64Array | Uint8Array | Float64Array;

function toBigInt(value: Leaf): bigint {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new BatchCamError("E_DTYPE", `tensor: ${value} is no integer that int64 can hold`);
  }
  return BigInt(value);
}

function collect(data: NestedArray, shape: readonly number[], depth: number, out: Leaf[]): void {
  if (depth === shape.length) {
    if (typeof data !== "number" && typeof data !== "bigint" && typeof data !== "boolean") {
      throw new BatchCamError("E_SHAPE", `tensor: expected a number at depth ${depth} of the nested array, got ${typeof data}`);
    }
    out.push(data);
    return;
  }
  const expected = shape[depth] as number;
  if (!Array.isArray(data) || data.length !== expected) {
    const got = Array.isArray(data) ? `${data.length} elements` : typeof data;
    throw new BatchCamError("E_SHAPE", `tensor: ragged nested array: expected ${expected} elements at depth ${depth}, got ${got}`);
  }
  for (const item of data as readonly NestedArray[]) collect(item, shape, depth + 1, out);
}

export function empty(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return finish(aten.emptyMemoryFormat(checkedShape("empty", shape), codeOf(options.dtype ?? "float32")), options);
}

export function full(shape: readonly number[], value: Scalar, options: TensorOptions = {}): Tensor {
  return finish(aten.full(checkedShape("full", shape), value, codeOf(options.dtype ?? "float32")), options);
}

export function zeros(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return full(shape, 0, options);
}

export function ones(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return full(shape, 1, options);
}

export function zerosLike(other: Tensor): Tensor {
  return new Tensor(aten.zerosLike(handleOf(other)));
}

export function onesLike(other: Tensor): Tensor {
  return new Tensor(aten.onesLike(handleOf(other)));
}

export function eye(n: number, options: TensorOptions = {}): Tensor {
  return finish(aten.eye(n, codeOf(options.dtype ?? "float32")), options);
}

/** `arange(n)`, or from `start` by `step` to below `end`; int64 unless a bound is fractional or a dtype is given. */
export function arange(start: number, end?: number, options: TensorOptions & { step?: number } = {}): Tensor {
  const [from, to, step] = end === undefined ? [0, start, options.step ?? 1] : [start, end, options.step ?? 1];
  const dtype = options.dtype ?? ([from, to, step].every(Number.isInteger) ? "int64" : "float32");
  return finish(aten.arangeStartStep(from, to, step, codeOf(dtype)), options);
}

/** Standard normal values, the ones torch draws for the same seed. */
export function randn(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return withGradient(empty(shape, { ...options, requiresGrad: false }).normal_(), options);
}

/** Uniform values in [0, 1), the ones torch draws for the same seed. */
export function rand(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return withGradient(empty(shape, { ...options, requiresGrad: false }).uniform_(), options);
}

function withGradient(made: Tensor, { requiresGrad = false }: TensorOptions): Tensor {
  return requiresGrad ? made.requiresGrad_() : made;
}

/** A random permutation of 0 … n − 1, int64. */
export function randperm(n: number): Tensor {
  return new Tensor(aten.randpermGenerator(n, codeOf("int64")));
}
