import { describeValue } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";

export type DType =
  | "float32"
  | "float64"
  | "float16"
  | "bfloat16"
  | "int64"
  | "int32"
  | "int16"
  | "int8"
  | "uint8"
  | "bool";

export type TypedArray =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array;

interface DTypeInfo {
  /** c10::ScalarType */
  readonly code: number;
  readonly bytes: number;
  /** The array type that `data()` returns; 16-bit floats, which JavaScript lacks, are returned as float32. */
  readonly array: (length: number) => TypedArray;
  readonly floating: boolean;
}

export const DTYPES: Readonly<Record<DType, DTypeInfo>> = {
  uint8: { code: 0, bytes: 1, array: (n) => new Uint8Array(n), floating: false },
  int8: { code: 1, bytes: 1, array: (n) => new Int8Array(n), floating: false },
  int16: { code: 2, bytes: 2, array: (n) => new Int16Array(n), floating: false },
  int32: { code: 3, bytes: 4, array: (n) => new Int32Array(n), floating: false },
  int64: { code: 4, bytes: 8, array: (n) => new BigInt64Array(n), floating: false },
  float16: { code: 5, bytes: 2, array: (n) => new Float32Array(n), floating: true },
  float32: { code: 6, bytes: 4, array: (n) => new Float32Array(n), floating: true },
  float64: { code: 7, bytes: 8, array: (n) => new Float64Array(n), floating: true },
  bool: { code: 11, bytes: 1, array: (n) => new Uint8Array(n), floating: false },
  bfloat16: { code: 15, bytes: 2, array: (n) => new Float32Array(n), floating: true },
};

const BY_CODE = new Map(Object.entries(DTYPES).map(([name, { code }]) => [code, name as DType]));

export function dtypeOf(code: number): DType {
  const dtype = BY_CODE.get(code);
  if (dtype === undefined)
    throw new BatchCamError("E_DTYPE", `libtorch's scalar type ${code} is not one this project uses`);
  return dtype;
}

/** The code of a dtype, for operators. Throws E_DTYPE for an unknown name. */
export function codeOf(dtype: DType): number {
  if (!isDType(dtype)) {
    throw new BatchCamError(
      "E_DTYPE",
      `dtype: expected one of ${Object.keys(DTYPES).join(", ")}, got ${describeValue(dtype)}`,
    );
  }
  return DTYPES[dtype].code;
}

export function isDType(name: unknown): name is DType {
  return typeof name === "string" && Object.hasOwn(DTYPES, name);
}

/** The dtype that can store the elements of a typed array without a conversion; undefined if no supported dtype can. */
export function dtypeOfArray(data: ArrayBufferView): DType | undefined {
  if (data instanceof Float32Array) return "float32";
  if (data instanceof Float64Array) return "float64";
  if (data instanceof BigInt64Array) return "int64";
  if (data instanceof Int32Array) return "int32";
  if (data instanceof Int16Array) return "int16";
  if (data instanceof Int8Array) return "int8";
  if (data instanceof Uint8Array || data instanceof Uint8ClampedArray) return "uint8";
  return undefined;
}
