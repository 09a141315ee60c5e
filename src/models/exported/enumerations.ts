import type { DType } from "../../tensor/index.ts";

// The enumerations of a file are its own: their numbers are not those of c10.

/** ScalarType of torch/_export/serde/schema.py; 0 is unknown. */
const DTYPES: Readonly<Record<number, DType>> = {
  1: "uint8",
  2: "int8",
  3: "int16",
  4: "int32",
  5: "int64",
  6: "float16",
  7: "float32",
  8: "float64",
  12: "bool",
  13: "bfloat16",
};

/** Names of the other values, for messages. */
const OTHER_DTYPES: Readonly<Record<number, string>> = {
  9: "complex32",
  10: "complex64",
  11: "complex128",
  28: "uint16",
  29: "float8_e4m3fn",
  30: "float8_e5m2",
  31: "float8_e4m3fnuz",
  32: "float8_e5m2fnuz",
  33: "float8_e8m0fnu",
  34: "uint32",
  35: "uint64",
};

export const STRIDED = 7;

const LAYOUTS = ["unknown", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "mkldnn", "strided"];

export const MEMORY_FORMATS = [undefined, "contiguous", "channels-last", "channels-last-3d", "preserve"] as const;

export const dtypeOfFile = (value: number): DType | undefined => DTYPES[value];

/** A dtype or layout in messages. */
export const dtypeName = (value: number): string =>
  DTYPES[value] ?? OTHER_DTYPES[value] ?? `the unknown number ${value}`;
export const layoutName = (value: number): string => LAYOUTS[value] ?? `the unknown number ${value}`;
