import type { NpyDtype } from "./npy-header.ts";

/** Numbers in the order in which the file holds them; 64-bit integers come as float64, exact up to 2^53. */
export type NpyValues =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** Reads the bytes of an array as numbers. The bytes are changed in place if their order is not this machine's. */
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

/** The value of IEEE 754 binary16; Node 20 has no Float16Array. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  // An exponent of 0 stands for the subnormal numbers.
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}
