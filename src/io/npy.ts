import { counted, grouped } from "../counted.ts";

/** A NumPy dtype of numbers or booleans. */
export interface NpyDtype {
  /** NumPy's name of the dtype, such as "|u1" or ">f4". */
  readonly name: string;
  /** b: bool, i: signed, u: unsigned, f: floating point. */
  readonly kind: "b" | "i" | "u" | "f";
  /** Bytes of one value. */
  readonly width: 1 | 2 | 4 | 8;
  readonly bigEndian: boolean;
}

/** The header of an array in NumPy's format. */
export interface NpyHeader {
  readonly dtype: NpyDtype;
  readonly shape: readonly number[];
  /** Number of values, the product of the shape. */
  readonly count: number;
  /** Whether the first index varies fastest (Fortran order) rather than the last (C order). */
  readonly fortranOrder: boolean;
  /** Byte offset of the first value. */
  readonly start: number;
}

/** Number of bytes that are enough to parse any real header. NumPy's own reader refuses headers above 10,000 characters. */
export const MOST_HEADER_BYTES = 2 ** 16;

/**
 * Parses the header of NumPy's format, versions 1 to 3: a magic number, the version, a length, and a line of Python
 * with the dtype, order and shape.
 *
 * Source: numpy/lib/format.py, "Format Version 1.0" to "3.0".
 *
 * @param bytes the start of the array: at least `MOST_HEADER_BYTES`, or the whole array if it is shorter
 * @throws the error that `fault` makes of a problem: a malformed header, or values that are not numbers
 */
export function parseNpyHeader(bytes: Uint8Array, fault: (problem: string) => Error): NpyHeader {
  const magic = Buffer.from(bytes.subarray(0, 6)).toString("latin1");
  const version = bytes[6] as number;
  if (bytes.length < 12 || magic !== "\x93NUMPY" || version < 1 || version > 3)
    throw fault("is not an array in NumPy's format (versions 1 to 3)");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [at, length] = version === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  const start = at + length;
  if (start > bytes.length) throw fault(`is cut short: its header would take ${counted(length, "byte", grouped)}`);
  const text = Buffer.from(bytes.subarray(at, start)).toString("latin1");
  const dtype = dtypeOf(text, fault);
  const order = text.match(/['"]fortran_order['"]\s*:\s*(True|False)/)?.[1];
  const dims = text.match(/['"]shape['"]\s*:\s*\(([^)]*)\)/)?.[1];
  if (order === undefined || dims === undefined) throw fault("has a header without shape and order");
  const shape = dims
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  const sizes = shape.map((size) => (/^\d{1,15}L?$/.test(size) ? Number.parseInt(size, 10) : -1));
  const count = sizes.reduce((product, size) => product * size, 1);
  if (sizes.includes(-1) || !Number.isSafeInteger(count)) throw fault(`has the shape (${dims}), which no array has`);
  return { dtype, shape: sizes, count, fortranOrder: order === "True", start };
}

const WIDTHS: Readonly<Record<NpyDtype["kind"], readonly number[]>> = {
  b: [1],
  i: [1, 2, 4, 8],
  u: [1, 2, 4, 8],
  f: [2, 4, 8],
};

function dtypeOf(text: string, fault: (problem: string) => Error): NpyDtype {
  const descr = text.match(/['"]descr['"]\s*:\s*(?:['"]([^'"]*)['"]|([[(]))/);
  if (descr === null) throw fault("has a header without a dtype");
  if (descr[2] !== undefined) throw fault("has a structured dtype; it must hold plain numbers");
  const name = descr[1] as string;
  const [, order, kind, digits] = name.match(/^([<>|=])([a-zA-Z])(\d+)$/) ?? [];
  const width = Number(digits);
  if (kind === undefined || !(WIDTHS[kind as NpyDtype["kind"]] ?? []).includes(width))
    throw fault(`is of dtype ${name}; it must be of bool, whole numbers of 8 to 64 bits, or floats of 16 to 64 bits`);
  return {
    ...{ name, kind: kind as NpyDtype["kind"], width: width as NpyDtype["width"] },
    bigEndian: order === ">" && width > 1,
  };
}

/** The values in the order of the file. 64-bit integers are converted to float64, which is exact up to 2^53. */
export type NpyValues =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** Converts the bytes of an array to numbers. If their byte order is not that of the machine, they are swapped in place. */
export function valuesOf({ kind, width, bigEndian }: NpyDtype, bytes: Uint8Array): NpyValues {
  if (bigEndian) swap(bytes, width);
  const { buffer, byteOffset } = bytes;
  const count = bytes.length / width;
  if (kind === "f") {
    if (width === 2) return Float32Array.from(new Uint16Array(buffer, byteOffset, count), half);
    return width === 4 ? new Float32Array(buffer, byteOffset, count) : new Float64Array(buffer, byteOffset, count);
  }
  if (width === 8)
    return toNumbers(
      kind === "i" ? new BigInt64Array(buffer, byteOffset, count) : new BigUint64Array(buffer, byteOffset, count),
    );
  if (width === 1) return kind === "i" ? new Int8Array(buffer, byteOffset, count) : bytes;
  if (width === 2)
    return kind === "i" ? new Int16Array(buffer, byteOffset, count) : new Uint16Array(buffer, byteOffset, count);
  return kind === "i" ? new Int32Array(buffer, byteOffset, count) : new Uint32Array(buffer, byteOffset, count);
}

function toNumbers(source: BigInt64Array | BigUint64Array): Float64Array {
  const values = new Float64Array(source.length);
  for (let i = 0; i < values.length; i++) values[i] = Number(source[i]);
  return values;
}

function swap(bytes: Uint8Array, width: number): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (width === 2) buffer.swap16();
  else if (width === 4) buffer.swap32();
  else buffer.swap64();
}

/** Converts IEEE 754 binary16 to a number, because Node 20 has no Float16Array. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  // An exponent of 0 marks a subnormal number.
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}
