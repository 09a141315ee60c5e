import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { types } from "node:util";
import { gunzipSync } from "node:zlib";
import { expectPath, expectString, wrongArgument } from "../../arguments.ts";
import { counted } from "../../counted.ts";
import type { BatchCamError } from "../../errors.ts";
import { dataError, type ReadContext, readFileBytes } from "../../io/internal.ts";

/** The element types that the IDX format supports. */
export type IdxData = Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array;

/** An array from an IDX file. `data` is row-major, and its length is the product of `shape`. */
export interface IdxArray {
  shape: number[];
  data: IdxData;
}

interface ElementType {
  name: string;
  bytes: number;
  /**
   * Decodes the big-endian elements. Single-byte types are a view of the payload; others are a copy in the byte order
   * of the machine.
   */
  decode(payload: Uint8Array): IdxData;
}

const ELEMENT_TYPES: ReadonlyMap<number, ElementType> = new Map([
  [0x08, { name: "uint8", bytes: 1, decode: (p) => p }],
  [0x09, { name: "int8", bytes: 1, decode: (p) => new Int8Array(p.buffer, p.byteOffset, p.length) }],
  [0x0b, { name: "int16", bytes: 2, decode: (p) => fill(new Int16Array(p.length / 2), p, "getInt16") }],
  [0x0c, { name: "int32", bytes: 4, decode: (p) => fill(new Int32Array(p.length / 4), p, "getInt32") }],
  [0x0d, { name: "float32", bytes: 4, decode: (p) => fill(new Float32Array(p.length / 4), p, "getFloat32") }],
  [0x0e, { name: "float64", bytes: 8, decode: (p) => fill(new Float64Array(p.length / 8), p, "getFloat64") }],
]);

const REMEDY = "get the file again from its source, unpacked";

/**
 * Reads an IDX file, the format of MNIST.
 *
 * @throws E_DATA for anything but a complete IDX file without trailing bytes
 */
export async function readIdx(path: string): Promise<IdxArray> {
  expectPath("readIdx: path", path);
  return parseIdx(await readFileBytes(path, { operation: "readIdx", remedy: REMEDY }), path);
}

/**
 * Parses the IDX format: two zero bytes, the element type, the number of dimensions, each dimension as a big-endian
 * uint32, then the elements, big-endian and row-major. A uint8 result is a view of `bytes`.
 *
 * @param path names the file in errors
 */
export function parseIdx(bytes: Uint8Array, path: string): IdxArray {
  if (!types.isUint8Array(bytes)) throw wrongArgument("parseIdx: bytes", "a Uint8Array", bytes);
  expectString("parseIdx: path", path);
  const type = parseMagic(bytes, path);
  const rank = bytes[3] as number;
  const start = 4 + 4 * rank;
  if (bytes.length < start) {
    throw idxError(
      path,
      `expected a header of ${counted(start, "byte")} (${counted(rank, "dimension")}), got a file of ${bytes.length}`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const elements = shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, 1);
  const expected = start + elements * type.bytes;
  if (expected !== bytes.length) {
    const what = `${shape.join("x") || "scalar"} of ${type.name}`;
    const state = expected > bytes.length ? "truncated, or its header is wrong" : "followed by extra bytes";
    throw idxError(path, `expected ${counted(expected, "byte")} (${what}), got ${bytes.length}: the array is ${state}`);
  }
  return { shape, data: type.decode(bytes.subarray(start)) };
}

function parseMagic(bytes: Uint8Array, path: string): ElementType {
  if (bytes.length < 4) throw idxError(path, `expected an IDX header of at least 4 bytes, got ${bytes.length}`);
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) throw idxError(path, "expected an IDX file, got a gzip archive");
  const type = bytes[0] === 0 && bytes[1] === 0 ? ELEMENT_TYPES.get(bytes[2] as number) : undefined;
  if (type === undefined) {
    const magic = Buffer.from(bytes.subarray(0, 4)).toString("hex");
    throw idxError(path, `expected an IDX magic number (0000, a type of 08 09 0b 0c 0d 0e, the rank), got ${magic}`);
  }
  return type;
}

function fill<T extends IdxData>(
  out: T,
  payload: Uint8Array,
  get: "getInt16" | "getInt32" | "getFloat32" | "getFloat64",
): T {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  for (let i = 0; i < out.length; i++) out[i] = view[get](i * out.BYTES_PER_ELEMENT);
  return out;
}

function idxError(path: string, problem: string): BatchCamError {
  return dataError(path, problem, { operation: "readIdx", remedy: REMEDY });
}

/** Images (N,1,H,W) and labels (N) of one split, as bytes. */
export interface ByteSplit {
  shape: readonly [count: number, channels: number, height: number, width: number];
  images: Uint8Array;
  labels: Uint8Array;
}

export const IDX_FILES = [
  "train-images-idx3-ubyte",
  "train-labels-idx1-ubyte",
  "t10k-images-idx3-ubyte",
  "t10k-labels-idx1-ubyte",
] as const;
export type IdxFile = (typeof IDX_FILES)[number];

/** The folder of a data set's four files, unpacked or as .gz, and the MD5 sums of the unpacked files. */
export interface IdxSource {
  folder: string;
  sums: Readonly<Record<IdxFile, string>>;
  /** Names the data set in messages: "loadDataset: mnist". */
  operation: string;
  /** The remedies for a file with a different checksum and for a missing file. */
  remedy: string;
  missing: string;
}

/**
 * Reads the two splits of a data set, and checks every file against its checksum.
 *
 * @throws E_DATA for a missing or different file
 */
export async function readIdxSplits(source: IdxSource): Promise<{ train: ByteSplit; test: ByteSplit }> {
  return {
    train: await readSplit(source, "train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    test: await readSplit(source, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
  };
}

async function readSplit(source: IdxSource, images: IdxFile, labels: IdxFile): Promise<ByteSplit> {
  const pixels = await readVerified(source, images);
  const classes = await readVerified(source, labels);
  const [count = 0, height = 0, width = 0] = pixels.shape;
  return { shape: [count, 1, height, width], images: pixels.data, labels: classes.data };
}

async function readVerified(source: IdxSource, name: IdxFile): Promise<{ shape: number[]; data: Uint8Array }> {
  const { folder, sums, operation, remedy, missing } = source;
  const context: ReadContext = { operation, remedy };
  const plain = join(folder, name);
  const packed = !existsSync(plain) && existsSync(`${plain}.gz`);
  if (!packed && !existsSync(plain)) throw dataError(folder, absence(folder, name), { operation, remedy: missing });
  const path = packed ? `${plain}.gz` : plain;
  const bytes = packed ? unpack(await readFileBytes(path, context), path, context) : await readFileBytes(path, context);
  const sum = createHash("md5").update(bytes).digest("hex");
  if (sum !== sums[name])
    throw dataError(path, `expected MD5 ${sums[name]}, got ${sum} (${counted(bytes.length, "byte")})`, context);
  const { shape, data } = parseIdx(bytes, path);
  return { shape, data: data as Uint8Array };
}

function absence(folder: string, name: IdxFile): string {
  if (!existsSync(folder)) return "the folder does not exist";
  if (!statSync(folder).isDirectory()) return "expected a folder, got a file";
  return `has neither ${name} nor ${name}.gz`;
}

/**
 * Upper bound of an unpacked file, which none of these files reaches. It protects against an archive that unpacks to
 * fill the memory.
 */
const MOST = 64 * 2 ** 20;

function unpack(bytes: Uint8Array, path: string, context: ReadContext): Uint8Array {
  try {
    const { buffer, byteOffset, length } = gunzipSync(bytes, { maxOutputLength: MOST });
    return new Uint8Array(buffer, byteOffset, length); // a plain Uint8Array, because slice() of a Buffer does not copy
  } catch (cause) {
    throw dataError(path, `is not a gzip archive of this data set (${(cause as Error).message})`, context, cause);
  }
}
