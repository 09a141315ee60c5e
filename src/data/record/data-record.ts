import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import { BatchCamError } from "../../errors.ts";
import type { Tensor } from "../../tensor/index.ts";
import { contentHash } from "../images/file-hashes.ts";
import { type Normalization, SPLIT_NAMES, type Split, type SplitName } from "../splits/split.ts";
import { imageHashes } from "./content-hashes.ts";

/** The data that a run was trained, validated and tested on. It holds enough to recognise whether later data are the same. */
export interface DataRecord {
  /** Name of the data set; null if a program passed the splits itself. */
  dataset: string | null;
  classNames: readonly string[];
  channels: number;
  /** Height and width. */
  imageSize: readonly [number, number];
  /** The normalisation that the run uses. */
  normalization: Normalization;
  /** Share of the training images that was drawn for validation; null if the draw did not use the images' paths. */
  valFraction: number | null;
  /** Digest of the data set's files, from `datasetDigest`; null if the data did not come from files. */
  source: string | null;
  /** The splits before any limit on the number of images is applied. */
  splits: Readonly<Partial<Record<SplitName, SplitRecordOfData>>>;
  /** Images that the run used before it continued with changed data, and that are not in `splits` in the same form. */
  earlier?: Readonly<Partial<Record<SplitName, readonly RecordedImage[]>>> | undefined;
  /** Images of the data set that the run does not use; absent unless the run has continued with changed data. */
  leftOut?: readonly LeftOutImage[] | undefined;
}

/**
 * An image that a run does not use, either because its class is unknown to the run, or because the run has already used
 * it for training or model selection and it is now in a split that must be unseen.
 */
export interface LeftOutImage {
  path: string;
  className: string;
  hash: string;
}

export interface SplitRecordOfData {
  images: number;
  /** Number of images of each class. */
  classCounts: readonly number[];
  /**
   * SHA-256 over the path, class and content of each image, in the order of the paths. For images without paths it
   * covers the bytes of the whole split.
   */
  digest: string;
  /** The images in the order of the split; null if they have no paths. */
  files: readonly RecordedImage[] | null;
  /**
   * The same list for images without paths, each with an empty path. It is absent for data sets that come with the
   * package and in records of earlier versions.
   */
  unnamed?: readonly RecordedImage[] | undefined;
}

export interface RecordedImage {
  path: string;
  label: number;
  /** Hash of the image alone. It identifies the image under any path. */
  hash: string;
  /** Hash of its mask; absent if the image has no mask. */
  mask?: string | undefined;
}

/** Hash of an image together with its mask. It changes if either of them changes. */
export const wholeHash = ({ hash, mask }: Pick<RecordedImage, "hash" | "mask">): string =>
  mask === undefined ? hash : contentHash(`${hash} ${mask}`);

type RecordedSplits = Partial<Record<SplitName, Split>>;

/**
 * Makes the record of splits that share their classes, image size and normalisation.
 * @param unnamed whether to record the content of images without paths too
 */
export function dataRecord(
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

/**
 * Digest over the class and content of a split's images, independent of their order and names. It identifies the set of
 * images that a model was evaluated on.
 */
export function contentDigest(split: Split): string {
  const hashes = imageHashes(split);
  const labels = Array.from(split.labels.data() as BigInt64Array, Number);
  return digestOfLines(labels.map((label, place) => [split.classNames[label] ?? label, hashes[place]]));
}

/** SHA-256 of rows of text, independent of the order of the rows. */
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

/** Number of images that are hashed at once, because Node cannot hash 2 GiB or more in one piece. */
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

/**
 * The order in which splits become unseen. An image that a model has used in a split of lower rank must not be used to
 * evaluate it in a split of higher rank.
 */
export const SPLIT_RANK: Readonly<Record<SplitName, number>> = { train: 0, val: 1, test: 2 };

/** Looks up the split that an image was in, by its path within the data set and the hash of its content. */
export type EarlierSplit = (image: { relative: string; hash: string }) => SplitName | undefined;

/**
 * Makes a look-up of the split that a record has an image in. It compares paths, and with `byContent` also contents, so
 * that a renamed image is found. If path and content disagree, or equal images are in several splits, the result is the
 * split with the lowest `SPLIT_RANK`: train before val before test.
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

/** Every image that a run has used in a split, before or after its data changed. */
const usedImages = ({ splits, earlier }: DataRecord, name: SplitName): RecordedImage[] => [
  ...listedIn(splits[name]),
  ...(earlier?.[name] ?? []),
];

/** The recorded images of a split; empty if the record does not list them. */
export const listedIn = (split: SplitRecordOfData | undefined): readonly RecordedImage[] =>
  split?.files ?? split?.unnamed ?? [];

/**
 * The record of a run that continues with changed data. It keeps the images that the run used before, so that none of
 * them is used to evaluate the run later.
 */
export function joinedRecord(before: DataRecord, now: DataRecord): DataRecord {
  const key = ({ path, hash }: RecordedImage) => JSON.stringify([path, hash]);
  const earlier = SPLIT_NAMES.map((name) => {
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

/** Converts a record to plain values for a JSON file. The lists of images are compressed. */
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

/**
 * Reads a record that `packRecord` made.
 * @param path file that it was read from, named in the error
 * @throws E_CHECKPOINT for a value that is not a packed record
 */
export function unpackRecord(value: unknown, path: string): DataRecord {
  try {
    const { splits, earlier, leftOut, ...packed } = value as PackedRecord;
    const { classNames, normalization, imageSize } = packed;
    const whole =
      isList(classNames, "string") && isList(normalization.mean, "number") && isList(normalization.std, "number");
    if (!whole || !isList(imageSize, "number") || imageSize.length !== 2 || splits.train === undefined)
      throw new Error("a field is missing");
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
    const problem = `${path} is damaged (${(cause as Error).message}), so the data of the run are not known`;
    throw new BatchCamError("E_CHECKPOINT", `${problem}; delete the file to continue without that check`, { cause });
  }
}

const isList = (value: unknown, of: "string" | "number"): boolean =>
  Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === of);

const packFiles = (files: readonly RecordedImage[]): string =>
  packRows(files.map(({ path, label, hash, mask }) => [path, label, hash, ...(mask === undefined ? [] : [mask])]));

/** Gzip of JSON, in base64. */
const packRows = (rows: readonly (readonly unknown[])[]): string => gzipSync(JSON.stringify(rows)).toString("base64");

/**
 * Upper bound of an unpacked list, which real lists stay far below. It protects against an archive that unpacks to fill
 * the memory.
 */
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
