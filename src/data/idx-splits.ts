import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { counted } from "../counted.ts";
import { dataError, type ReadContext, readFileBytes } from "./file-bytes.ts";
import { parseIdx } from "./idx.ts";

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

/** Where the four files of a data set lie, unpacked or as .gz, and their MD5 sums, unpacked. */
export interface IdxSource {
  folder: string;
  sums: Readonly<Record<IdxFile, string>>;
  /** Names the data set in messages: "loadDataset: mnist". */
  operation: string;
  /** What the user can do about a file that is different, and about one that is missing. */
  remedy: string;
  missing: string;
}

/** Reads the two splits of a data set; every file is checked against its sum, and a missing or different one is E_DATA. */
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
  if (!existsSync(folder)) return "there is no such folder";
  if (!statSync(folder).isDirectory()) return "expected a folder, got a file";
  return `has no ${name}, packed as .gz or not`;
}

/** More than any of these files holds: an archive that grows beyond it is none of them. */
const MOST = 64 * 2 ** 20;

function unpack(bytes: Uint8Array, path: string, context: ReadContext): Uint8Array {
  try {
    const { buffer, byteOffset, length } = gunzipSync(bytes, { maxOutputLength: MOST });
    return new Uint8Array(buffer, byteOffset, length); // no Buffer, whose slice() is no copy
  } catch (cause) {
    throw dataError(path, `is no gzip archive of this data set (${(cause as Error).message})`, context, cause);
  }
}
