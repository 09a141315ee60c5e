import { counted } from "../counted.ts";
import { BatchCamError } from "../errors.ts";
import type { DType } from "../tensor/index.ts";
import { DTYPES } from "../tensor/internal.ts";
import { quote, type RawEntry, scanHeader } from "./safetensors-json.ts";

/** The position of a tensor in the data that follows the header. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Offset of the first byte, from the end of the header. */
  readonly begin: number;
  readonly bytes: number;
}

/** The limit of the reference implementation. It bounds the memory that a hostile file can make the reader allocate. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Largest number of dimensions that the operators support. */
const MAX_RANK = 64;

/** The dtypes in the order of the reference writer, which writes the widest first so that every tensor is aligned. */
const DTYPE_NAMES = [
  ["I64", "int64"],
  ["F64", "float64"],
  ["F32", "float32"],
  ["I32", "int32"],
  ["BF16", "bfloat16"],
  ["F16", "float16"],
  ["I16", "int16"],
  ["I8", "int8"],
  ["U8", "uint8"],
  ["BOOL", "bool"],
] as const satisfies readonly (readonly [string, DType])[];

const FROM_NAME: ReadonlyMap<string, DType> = new Map(DTYPE_NAMES);
const ORDER: ReadonlyMap<DType, number> = new Map(DTYPE_NAMES.map(([, dtype], i) => [dtype, i]));
const OTHER_NAMES = new Set("U64 C64 U32 U16 F8_E4M3 F8_E5M2 F8_E8M0 F6_E2M3 F6_E3M2 F4".split(" "));

/**
 * Parses the JSON of a header and checks it against the length of the data. The entries are returned in the order of
 * their data, which they must cover exactly, without overlaps, gaps or trailing bytes. Any problem calls `fail`.
 */
export function parseHeader(
  header: Uint8Array,
  dataBytes: number,
  fail: (problem: string) => never,
): { metadata: Map<string, string>; entries: TensorEntry[] } {
  const { metadata, tensors } = scanHeader(decodeUtf8(header, fail), fail);
  const entries = [...tensors].map(([name, raw]) => checkEntry(name, raw, fail));
  entries.sort((a, b) => a.begin - b.begin || a.bytes - b.bytes);
  let end = 0;
  for (const { name, begin, bytes } of entries) {
    if (begin !== end) {
      const what = begin < end ? "overlaps the one before" : "leaves a hole before it";
      fail(`tensor ${quote(name)} ${what}: expected its data at ${end}, got ${begin}`);
    }
    end += bytes;
  }
  if (end !== dataBytes) fail(`expected ${counted(end, "byte")} of data after the header, got ${dataBytes}`);
  return { metadata, entries };
}

/**
 * Builds the header of a file of tensors, including the 8 bytes of its length.
 *
 * @returns the header, and the position of each tensor, in the order of writing
 */
export function buildHeader(
  tensors: readonly { name: string; dtype: DType; shape: readonly number[] }[],
  metadata: Readonly<Record<string, string>>,
): { header: Uint8Array; entries: TensorEntry[] } {
  const sorted = tensors.map((tensor) => ({ ...tensor, key: Buffer.from(tensor.name) }));
  sorted.sort((a, b) => order(a.dtype) - order(b.dtype) || Buffer.compare(a.key, b.key));
  let begin = 0;
  const entries = sorted.map(({ name, dtype, shape }) => {
    const entry = { name, dtype, shape, begin, bytes: byteLength(shape, dtype) };
    begin += entry.bytes;
    return entry;
  });
  const fields = entries.map(entryField);
  const texts = Object.entries(metadata).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  if (texts.length > 0) fields.unshift(`"__metadata__":{${texts.map(metadataField).join(",")}}`);
  const json = Buffer.from(`{${fields.join(",")}}`);
  if (json.length > MAX_HEADER_BYTES) {
    const got = `a header of ${counted(json.length, "byte")}`;
    throw argumentError(`expected a header of at most ${MAX_HEADER_BYTES} bytes, got ${got}; write several files`);
  }
  const padded = Math.ceil(json.length / 8) * 8;
  const header = Buffer.alloc(8 + padded, " ");
  header.writeBigUInt64LE(BigInt(padded));
  json.copy(header, 8);
  return { header, entries };
}

function checkEntry(name: string, { dtype: dtypeName, shape, offsets }: RawEntry, fail: (problem: string) => never) {
  const what = `tensor ${quote(name)}`;
  const dtype = FROM_NAME.get(dtypeName);
  if (dtype === undefined) {
    const state = OTHER_NAMES.has(dtypeName) ? "a dtype that this engine does not support" : "an unknown dtype";
    return fail(`${what}: expected a dtype of ${[...FROM_NAME.keys()].join(" ")}, got ${state}, ${quote(dtypeName)}`);
  }
  if (shape.length > MAX_RANK) fail(`${what}: expected at most ${MAX_RANK} dimensions, got ${shape.length}`);
  // Empty dimensions count as 1 here, because the strides multiply the other dimensions even if there are no elements.
  const extent = shape.reduce((product, size) => product * Math.max(1, size), 8);
  if (extent > Number.MAX_SAFE_INTEGER) fail(`${what}: shape [${shape.join(", ")}] is too large for any memory`);
  const [begin = 0, end = 0] = offsets;
  const bytes = byteLength(shape, dtype);
  if (offsets.length !== 2 || end - begin !== bytes) {
    const [want, got] = [`${dtypeName} [${shape.join(", ")}]`, offsets.slice(0, 3).join(", ")];
    fail(`${what}: expected data_offsets that are ${bytes} apart (${want}), got [${got}]`);
  }
  return { name, dtype, shape, begin, bytes };
}

function decodeUtf8(bytes: Uint8Array, fail: (problem: string) => never): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return fail("expected a header in UTF-8, got other bytes");
  }
}

function entryField({ name, dtype, shape, begin, bytes }: TensorEntry): string {
  if (name === "__metadata__")
    throw argumentError('a tensor must not be named "__metadata__", which the format reserves');
  const [dtypeName] = DTYPE_NAMES[order(dtype)] as readonly [string, DType];
  const offsets = `[${begin},${begin + bytes}]`;
  return `${jsonText(name)}:{"dtype":"${dtypeName}","shape":[${shape.join(",")}],"data_offsets":${offsets}}`;
}

function metadataField([key, value]: [string, unknown]): string {
  if (typeof value !== "string") throw argumentError(`metadata ${quote(key)} must be a string, got ${typeof value}`);
  return `${jsonText(key)}:${jsonText(value)}`;
}

function jsonText(text: string): string {
  if (/\p{Surrogate}/u.test(text))
    throw argumentError(`${quote(text)} contains half of a surrogate pair, which has no UTF-8 encoding`);
  return JSON.stringify(text);
}

function byteLength(shape: readonly number[], dtype: DType): number {
  return shape.reduce((product, size) => product * size, DTYPES[dtype].bytes);
}

function order(dtype: DType): number {
  return ORDER.get(dtype) as number;
}

function argumentError(problem: string): BatchCamError {
  return new BatchCamError("E_ARGUMENT", `saveSafetensors: ${problem}`);
}
