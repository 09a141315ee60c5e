import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import { BatchCamError } from "../errors.ts";
import type { Tensor } from "../tensor/index.ts";
import type { EarlierSplit } from "./labelled-dataset.ts";
import type { Normalization, Split } from "./split.ts";
import type { SplitName } from "./split-names.ts";

/** What a run knows of the images that it was trained, validated and tested on: enough to tell any other images from them. */
export interface DataRecord {
  /** Name of the data set, or null where a program gave the splits. */
  dataset: string | null;
  classNames: readonly string[];
  channels: number;
  /** Height and width. */
  imageSize: readonly [number, number];
  /** The one in force. */
  normalization: Normalization;
  /** Share of the training images that was drawn for validation; null where it was not drawn by the images' paths. */
  valFraction: number | null;
  /** Digest of the data set's files, as `datasetDigest` gives it; null where there are none. */
  source: string | null;
  /** Before any limit on the number of images. */
  splits: Readonly<Partial<Record<SplitName, SplitRecordOfData>>>;
}

export interface SplitRecordOfData {
  images: number;
  /** Images of each class. */
  classCounts: readonly number[];
  /** SHA-256 over path, class and content of each image in the order of the paths; where images have no paths, over all bytes. */
  digest: string;
  /** In the order of the split; null where images have no paths. */
  files: readonly RecordedImage[] | null;
}

export interface RecordedImage {
  path: string;
  label: number;
  hash: string;
}

type RecordedSplits = Partial<Record<SplitName, Split>>;

/** The record of some splits, which share classes, size and normalisation. */
export function recordOf(
  splits: RecordedSplits & { train: Split },
  about: Pick<DataRecord, "dataset" | "valFraction" | "source">,
): DataRecord {
  const { classNames, normalization, images } = splits.train;
  const [, channels, height, width] = images.sizes as [number, number, number, number];
  const recorded = Object.entries(splits).map(([name, split]) => [name, splitRecord(split)] as const);
  return {
    ...about,
    ...{ classNames: [...classNames], channels, imageSize: [height, width] },
    normalization: { mean: [...normalization.mean], std: [...normalization.std] },
    splits: Object.fromEntries(recorded),
  };
}

function splitRecord(split: Split): SplitRecordOfData {
  const { labels, paths, hashes, classNames, numClasses } = split;
  const numbers = Array.from(labels.data() as BigInt64Array, Number);
  const classCounts = new Array<number>(numClasses).fill(0);
  for (const label of numbers) classCounts[label] = (classCounts[label] as number) + 1;
  const counts = { images: numbers.length, classCounts };
  if (paths === undefined || hashes === undefined) return { ...counts, digest: digestOfBytes(split), files: null };
  const files = paths.map((path, i) => ({ path, label: numbers[i] as number, hash: hashes[i] as string }));
  const lines = files.map(({ path, label, hash }) => [path, classNames[label] ?? label, hash]);
  return { ...counts, digest: digestOfLines(lines), files };
}

/** SHA-256 of rows of text, whatever their order. */
export function digestOfLines(rows: readonly (readonly unknown[])[]): string {
  const hash = createHash("sha256");
  for (const line of rows.map((row) => JSON.stringify(row)).sort()) hash.update(`${line}\n`);
  return hash.digest("hex");
}

function digestOfBytes({ images, labels, masks }: Split): string {
  const hash = createHash("sha256");
  for (const tensor of [images, labels, ...(masks === undefined ? [] : [masks])]) {
    hash.update(JSON.stringify([tensor.dtype, tensor.sizes]));
    for (const piece of piecesOf(tensor)) hash.update(piece);
  }
  return hash.digest("hex");
}

/** Images at a time: Node hashes less than 2 GiB at once. */
const PIECE = 4096;

function* piecesOf(tensor: Tensor): Generator<Uint8Array> {
  const [count = 0] = tensor.sizes;
  for (let start = 0; start < count; start += PIECE) {
    const part = tensor.narrow(0, start, Math.min(PIECE, count - start));
    const { buffer, byteOffset, byteLength } = part.data();
    part.dispose();
    yield new Uint8Array(buffer, byteOffset, byteLength);
  }
}

/** Where a record has an image, by its path; with `byContent` also by its content, where the path is new: a file that was renamed. */
export function earlierSplits({ splits }: DataRecord, { byContent }: { byContent: boolean }): EarlierSplit {
  const paths = new Map<string, SplitName>();
  const contents = new Map<string, SplitName>();
  // Of equal images in several splits those of train count, which nothing may be judged by.
  for (const name of ["test", "val", "train"] as const)
    for (const { path, hash } of splits[name]?.files ?? []) {
      paths.set(path, name);
      contents.set(hash, name);
    }
  return ({ relative, hash }) => paths.get(relative) ?? (byContent ? contents.get(hash) : undefined);
}

type PackedRecord = Omit<DataRecord, "splits"> & {
  splits: Record<string, Omit<SplitRecordOfData, "files"> & { files: string | null }>;
};

/** A record as plain values for a JSON file: the lists of images are packed. */
export function packRecord(record: DataRecord): Record<string, unknown> {
  const splits = Object.entries(record.splits).map(([name, { files, ...split }]) => [
    name,
    { ...split, files: files === null ? null : packFiles(files) },
  ]);
  return { ...record, splits: Object.fromEntries(splits) };
}

/** @throws E_CHECKPOINT for what is no packed record; `path` is the file it was read from */
export function unpackRecord(value: unknown, path: string): DataRecord {
  try {
    const packed = value as PackedRecord;
    const { classNames, normalization, imageSize, splits } = packed;
    const whole =
      isList(classNames, "string") && isList(normalization.mean, "number") && isList(normalization.std, "number");
    if (!whole || !isList(imageSize, "number") || imageSize.length !== 2 || splits.train === undefined)
      throw new Error("it lacks a part");
    const unpacked = Object.entries(splits).map(([name, split]) => [
      name,
      { ...split, files: split.files === null ? null : unpackFiles(split.files) },
    ]);
    return { ...packed, splits: Object.fromEntries(unpacked) };
  } catch (cause) {
    const problem = `${path} is damaged (${(cause as Error).message}): what the run's data were is not known`;
    throw new BatchCamError("E_CHECKPOINT", `${problem}; delete the file to go on without that knowledge`, { cause });
  }
}

const isList = (value: unknown, of: "string" | "number"): boolean =>
  Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === of);

/** Gzip of JSON, in base64. */
function packFiles(files: readonly RecordedImage[]): string {
  const rows = files.map(({ path, label, hash }) => [path, label, hash]);
  return gzipSync(JSON.stringify(rows)).toString("base64");
}

/** No list of images is longer: an archive that unpacks to more is none of ours. */
const MOST_BYTES = 2 ** 30;

function unpackFiles(text: string): RecordedImage[] {
  const json = gunzipSync(Buffer.from(text, "base64"), { maxOutputLength: MOST_BYTES }).toString("utf8");
  return (JSON.parse(json) as [string, number, string][]).map(([path, label, hash]) => ({ path, label, hash }));
}
