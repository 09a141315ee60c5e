import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import { BatchCamError } from "../../errors.ts";
import type { Tensor } from "../../tensor/index.ts";
import { contentHash } from "../images/file-hashes.ts";
import type { Normalization, Split, SplitName } from "../splits/split.ts";
import { imageHashes } from "./content-hashes.ts";

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
  /** Images that the run used before it went on with other data, and that are not in `splits` as they were. */
  earlier?: Readonly<Partial<Record<SplitName, readonly RecordedImage[]>>> | undefined;
  /** Images of the data that the run leaves out; absent for a run that never went on with other data. */
  leftOut?: readonly LeftOutImage[] | undefined;
}

/** An image that a run left out: it knows it from a split that judges less, or it does not know its class. */
export interface LeftOutImage {
  path: string;
  className: string;
  hash: string;
}

export interface SplitRecordOfData {
  images: number;
  /** Images of each class. */
  classCounts: readonly number[];
  /** SHA-256 over path, class and content of each image in the order of the paths; where images have no paths, over all bytes. */
  digest: string;
  /** In the order of the split; null where images have no paths. */
  files: readonly RecordedImage[] | null;
  /**
   * The same, with empty paths, of images that have none; absent of data that come with the package, and in records of earlier versions.
   */
  unnamed?: readonly RecordedImage[] | undefined;
}

export interface RecordedImage {
  path: string;
  label: number;
  /** Of the image alone, which tells it from others under whatever path. */
  hash: string;
  /** Hash of its mask; absent where it has none. */
  mask?: string | undefined;
}

/** Of the image and its mask: it differs where either has changed. */
export const wholeHash = ({ hash, mask }: Pick<RecordedImage, "hash" | "mask">): string =>
  mask === undefined ? hash : contentHash(`${hash} ${mask}`);

type RecordedSplits = Partial<Record<SplitName, Split>>;

/**
 * The record of some splits, which share classes, size and normalisation.
 * @param unnamed whether it has the content of images without paths too
 */
export function recordOf(
  splits: RecordedSplits & { train: Split },
  about: Pick<DataRecord, "dataset" | "valFraction" | "source">,
  { unnamed = false }: { unnamed?: boolean } = {},
): DataRecord {
  const { classNames, normalization, images } = splits.train;
  const [, channels, height, width] = images.sizes as [number, number, number, number];
  const recorded = Object.entries(splits).map(([name, split]) => [name, splitRecord(split, unnamed)] as const);
  return {
    ...about,
    ...{ classNames: [...classNames], channels, imageSize: [height, width] },
    normalization: { mean: [...normalization.mean], std: [...normalization.std] },
    splits: Object.fromEntries(recorded),
  };
}

function splitRecord(split: Split, unnamed: boolean): SplitRecordOfData {
  const { labels, paths, hashes, maskHashes, classNames, numClasses } = split;
  const numbers = Array.from(labels.data() as BigInt64Array, Number);
  const classCounts = new Array<number>(numClasses).fill(0);
  for (const label of numbers) classCounts[label] = (classCounts[label] as number) + 1;
  const counts = { images: numbers.length, classCounts };
  if (paths === undefined || hashes === undefined) {
    const contents = () => imageHashes(split).map((hash, i) => ({ path: "", label: numbers[i] as number, hash }));
    return { ...counts, digest: digestOfBytes(split), files: null, ...(unnamed ? { unnamed: contents() } : {}) };
  }
  const files = paths.map((path, i): RecordedImage => {
    const mask = maskHashes?.[i];
    return { path, label: numbers[i] as number, hash: hashes[i] as string, ...(mask === undefined ? {} : { mask }) };
  });
  const lines = files.map((file) => [file.path, classNames[file.label] ?? file.label, wholeHash(file)]);
  return { ...counts, digest: digestOfLines(lines), files };
}

/** Digest over class and content of some images, whatever their order and their names: by which images a model is judged. */
export function contentDigest(split: Split): string {
  const hashes = imageHashes(split);
  const labels = Array.from(split.labels.data() as BigInt64Array, Number);
  return digestOfLines(labels.map((label, place) => [split.classNames[label] ?? label, hashes[place]]));
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

/** What a model has seen of one split must not judge it in a later one. */
export const SPLIT_RANK: Readonly<Record<SplitName, number>> = { train: 0, val: 1, test: 2 };

/** Says in which split an image was, by its path within the data set and the hash of its content. */
export type EarlierSplit = (image: { relative: string; hash: string }) => SplitName | undefined;

/**
 * Where a record has an image, by its path; with `byContent` by its content too, which may have another path now. If the two disagree, or
 * equal images are in several splits, the split that the model has seen most of counts: train, then val.
 */
export function earlierSplits(record: DataRecord, { byContent }: { byContent: boolean }): EarlierSplit {
  const paths = new Map<string, SplitName>();
  const contents = new Map<string, SplitName>();
  for (const name of ["test", "val", "train"] as const)
    for (const { path, hash } of usedImages(record, name)) {
      if (path !== "") paths.set(path, name);
      contents.set(hash, name);
    }
  return ({ relative, hash }) => mostSeen(paths.get(relative), byContent ? contents.get(hash) : undefined);
}

function mostSeen(one: SplitName | undefined, other: SplitName | undefined): SplitName | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return SPLIT_RANK[one] <= SPLIT_RANK[other] ? one : other;
}

/** Every image that a run has used in a split. */
const usedImages = ({ splits, earlier }: DataRecord, name: SplitName): RecordedImage[] => [
  ...listedIn(splits[name]),
  ...(earlier?.[name] ?? []),
];

/** The images of a split, with what is known of each. */
export const listedIn = (split: SplitRecordOfData | undefined): readonly RecordedImage[] =>
  split?.files ?? split?.unnamed ?? [];

/** The record of a run that goes on with other data: it keeps what the run used before, so that nothing of it can judge the run later. */
export function joinedRecord(before: DataRecord, now: DataRecord): DataRecord {
  const key = ({ path, hash }: RecordedImage) => JSON.stringify([path, hash]);
  const earlier = (["train", "val", "test"] as const).map((name) => {
    const present = new Set(listedIn(now.splits[name]).map(key));
    return [name, usedImages(before, name).filter((image) => !present.has(key(image)))] as const;
  });
  return { ...now, earlier: Object.fromEntries(earlier), leftOut: now.leftOut ?? [] };
}

type PackedRecord = Omit<DataRecord, "splits" | "earlier" | "leftOut"> & {
  splits: Record<string, Omit<SplitRecordOfData, "files" | "unnamed"> & { files: string | null; unnamed?: string }>;
  earlier?: Record<string, string>;
  leftOut?: string;
};

/** Applies a function to each value of an object. */
const mapped = <A, B>(object: Readonly<Record<string, A>>, fn: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, fn(value)]));

/** A record as plain values for a JSON file: the lists of images are packed. */
export function packRecord({ splits, earlier, leftOut, ...record }: DataRecord): Record<string, unknown> {
  return {
    ...record,
    splits: mapped(splits, ({ files, unnamed, ...split }) => ({
      ...split,
      files: files === null ? null : packFiles(files),
      ...(unnamed === undefined ? {} : { unnamed: packFiles(unnamed) }),
    })),
    ...(earlier === undefined ? {} : { earlier: mapped(earlier, packFiles) }),
    ...(leftOut === undefined
      ? {}
      : { leftOut: packRows(leftOut.map(({ path, className, hash }) => [path, className, hash])) }),
  };
}

/** @throws E_CHECKPOINT for what is no packed record; `path` is the file it was read from */
export function unpackRecord(value: unknown, path: string): DataRecord {
  try {
    const { splits, earlier, leftOut, ...packed } = value as PackedRecord;
    const { classNames, normalization, imageSize } = packed;
    const whole =
      isList(classNames, "string") && isList(normalization.mean, "number") && isList(normalization.std, "number");
    if (!whole || !isList(imageSize, "number") || imageSize.length !== 2 || splits.train === undefined)
      throw new Error("it lacks a part");
    return {
      ...packed,
      splits: mapped(splits, ({ files, unnamed, ...split }) => ({
        ...split,
        files: files === null ? null : unpackFiles(files),
        ...(unnamed === undefined ? {} : { unnamed: unpackFiles(unnamed) }),
      })),
      ...(earlier === undefined ? {} : { earlier: mapped(earlier, unpackFiles) }),
      ...(leftOut === undefined ? {} : { leftOut: unpackLeftOut(leftOut) }),
    };
  } catch (cause) {
    const problem = `${path} is damaged (${(cause as Error).message}): what the run's data were is not known`;
    throw new BatchCamError("E_CHECKPOINT", `${problem}; delete the file to go on without that knowledge`, { cause });
  }
}

const isList = (value: unknown, of: "string" | "number"): boolean =>
  Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === of);

const packFiles = (files: readonly RecordedImage[]): string =>
  packRows(files.map(({ path, label, hash, mask }) => [path, label, hash, ...(mask === undefined ? [] : [mask])]));

/** Gzip of JSON, in base64. */
const packRows = (rows: readonly (readonly unknown[])[]): string => gzipSync(JSON.stringify(rows)).toString("base64");

/** No list of images is longer: an archive that unpacks to more is none of ours. */
const MOST_BYTES = 2 ** 30;

function unpackRows<Row>(text: string): Row[] {
  const json = gunzipSync(Buffer.from(text, "base64"), { maxOutputLength: MOST_BYTES }).toString("utf8");
  return JSON.parse(json) as Row[];
}

const unpackFiles = (text: string): RecordedImage[] =>
  unpackRows<[string, number, string, string?]>(text).map(([path, label, hash, mask]) => ({
    ...{ path, label, hash },
    ...(mask === undefined ? {} : { mask }),
  }));

const unpackLeftOut = (text: string): LeftOutImage[] =>
  unpackRows<[string, string, string]>(text).map(([path, className, hash]) => ({ path, className, hash }));
