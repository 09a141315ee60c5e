import { BatchCamError } from "../../errors.ts";
import { type Tensor, tensor } from "../../tensor/index.ts";
import { randomSource } from "../batches/random.ts";
import { type DecodeOptions, decodeImages, pack } from "../images/decoded-cache.ts";
import { READABLE } from "../images/format.ts";
import type { EarlierSplit } from "../record/data-record.ts";
import { type HashedListing, hashListing, type NamedImage, namedImages } from "../record/dataset-digest.ts";
import { heldOut } from "../splits/held-out.ts";
import type { Normalization, Split, SplitName } from "../splits/split.ts";
import { stratifiedChoice } from "../splits/validation-split.ts";
import type { LabelledImage, LabelledImages } from "./class-folder.ts";
import { notesLine, pathWithin, problemOf, unreadableError } from "./reading-notes.ts";

export interface LabelledDatasetOptions extends Omit<DecodeOptions, "onError"> {
  /** Folder that the images' paths are relative to. */
  root: string;
  /** Share of the images that becomes the test split if the files do not name one. */
  testFraction: number;
  /** Seed of the draw of the test split. */
  seed: number;
  /**
   * Whether files that cannot be read are an error that names all of them ("fail"), or are left out and reported as
   * warnings ("skip").
   */
  badImages: "fail" | "skip";
  /**
   * Looks up the split that a run has an image in; undefined for an image that it does not know. It is called only for
   * images whose split is drawn.
   */
  earlier?: EarlierSplit | undefined;
  /** How the test split is drawn: "path" (default), or "order", the method of earlier versions, to resume their runs. */
  draw?: "path" | "order" | undefined;
}

/** The splits of a user's own images. `val` is present if the files name it. */
export interface LabelledSplits {
  train: Split;
  val?: Split;
  test: Split;
  /** Files that were left out, with the reasons. */
  warnings: readonly string[];
  /** The same digest as `datasetDigest` gives. */
  digest: string;
}

/**
 * Decodes labelled images into splits. Their normalisation is the mean and standard deviation of the training pixels.
 *
 * @throws E_DATA for an unreadable file (unless `badImages` is "skip"), and for a class without a training image
 */
export async function loadLabelled(images: LabelledImages, options: LabelledDatasetOptions): Promise<LabelledSplits> {
  const { classNames } = images;
  const named = namedImages(images);
  const warnings = [...(images.warnings ?? [])];
  const { hashes, maskHashes, digest } = await hashListing(named, classNames, options);
  const decoded = await decodeListed({ named, hashes, maskHashes }, options, warnings);
  const listed = withTest(decoded.listed, images, options);
  const length = options.channels * options.size[0] * options.size[1];
  const rowsOf = (name: SplitName) => {
    const own = listed.filter((image) => image.name === name);
    const bytes = pack(
      decoded.pixels,
      own.map(({ row }) => row),
      length,
    );
    return { bytes, own, labels: own.map(({ label }) => label), masks: decoded.masks(own) };
  };
  const train = rowsOf("train");
  expectEveryClass(classNames, train.labels, options.source);
  const normalization = channelStatistics(train.bytes, options);
  const splitOf = (name: SplitName, { bytes, own, labels, masks }: ReturnType<typeof rowsOf>): Split => ({
    ...{ name, numClasses: classNames.length, classNames, normalization },
    images: imageTensor(bytes, labels.length, options),
    labels: tensor(BigInt64Array.from(labels, BigInt), { shape: [labels.length], dtype: "int64" }),
    ...{ paths: own.map((image) => image.relative), hashes: own.map(({ hash }) => hash) },
    ...maskHashesOf(own),
    ...(masks === null ? {} : { masks: tensor(masks, { shape: [labels.length, ...options.size], dtype: "uint8" }) }),
  });
  const [val, test] = [images.splits.val === undefined ? null : rowsOf("val"), rowsOf("test")];
  for (const [name, part] of Object.entries({ val, test }))
    if (part?.labels.length === 0) throw noImage(name, options.source);
  return {
    train: splitOf("train", train),
    ...(val === null ? {} : { val: splitOf("val", val) }),
    test: splitOf("test", test),
    ...{ warnings, digest },
  };
}

function maskHashesOf(own: readonly DecodedImage[]): Pick<Split, "maskHashes"> {
  const maskHashes = own.flatMap(({ maskHash }) => maskHash ?? []);
  return own.length > 0 && maskHashes.length === own.length ? { maskHashes } : {};
}

/** An image that was decoded, and its mask if it has one. */
interface DecodedImage extends NamedImage {
  /** Its row in the decoded pixels. */
  row: number;
  /** Path relative to the data set's folder. */
  relative: string;
  /** Hash of the file. */
  hash: string;
  /** Hash of the mask's file; undefined if the image has no mask. */
  maskHash: string | undefined;
}

interface DecodedImages {
  pixels: Uint8Array;
  listed: DecodedImage[];
  /** The binary masks of these images, (N, H, W), 1 where the mask is brighter than 127; null unless all of them have one. */
  masks: (images: readonly DecodedImage[]) => Uint8Array | null;
}

/**
 * Decodes the images that can be read. For those that cannot, the reasons are added to the warnings, or thrown as one
 * error about all of them.
 */
async function decodeListed(
  { named, hashes, maskHashes }: Pick<HashedListing, "hashes" | "maskHashes"> & { named: readonly NamedImage[] },
  options: LabelledDatasetOptions,
  warnings: string[],
): Promise<DecodedImages> {
  const { badImages, ...given } = options;
  const unreadable: string[] = [];
  const onError = (error: BatchCamError) => void unreadable.push(problemOf(error, options.root));
  const decoding = { ...given, onError };
  const { pixels, kept, notes } = await decodeImages(
    named.map(({ path }) => path),
    decoding,
  );
  const masks = await masksOf(named, kept, decoding);
  if (badImages === "fail" && unreadable.length > 0)
    throw unreadableError(unreadable, `loadDataset: ${options.source}`);
  warnings.push(...unreadable.map((problem) => `left out: ${problem}`), ...notesLine(notes));
  const listed = Array.from(kept, (place, row): DecodedImage[] => {
    if (masks.at.get(place) === null) return [];
    const image = named[place] as NamedImage;
    return [
      {
        ...image,
        row,
        relative: pathWithin(options.root, image.path),
        hash: hashes[place] as string,
        maskHash: maskHashes[place],
      },
    ];
  }).flat();
  const placeOf = new Map(Array.from(kept, (place, row) => [row, place]));
  return { pixels, listed, masks: (own) => masks.rows(own.map(({ row }) => placeOf.get(row) as number)) };
}

const noImage = (name: string, source: string): BatchCamError =>
  new BatchCamError("E_DATA", `loadDataset: ${source}: ${name} has no image that can be read; ${READABLE}`);

interface Masks {
  /** The row of each image's mask, by the position of the image in the list; null if the mask could not be read. */
  at: ReadonlyMap<number, number | null>;
  /** The binary masks of these images, (N, H, W), 1 where the mask is brighter than 127; null unless all of them have one. */
  rows: (places: readonly number[]) => Uint8Array | null;
}

/** Decodes the masks of the images that could be read. */
async function masksOf(listed: readonly LabelledImage[], kept: Int32Array, decoding: DecodeOptions): Promise<Masks> {
  const masked = Array.from(kept).filter((i) => listed[i]?.mask !== undefined);
  if (masked.length === 0) return { at: new Map(), rows: () => null };
  // Margins and transparent pixels do not belong to a mask, so they become black.
  const background = [0, 0, 0] as const;
  const decoded = await decodeImages(
    masked.map((i) => listed[i]?.mask as string),
    { ...decoding, channels: 1, background, source: `${decoding.source}#masks` },
  );
  const at = new Map<number, number | null>(masked.map((i) => [i, null]));
  for (const [row, place] of decoded.kept.entries()) at.set(masked[place] as number, row);
  const rows = (places: readonly number[]) => {
    const own = places.flatMap((i) => at.get(i) ?? []);
    if (own.length < places.length || own.length === 0) return null;
    const [height, width] = decoding.size;
    return pack(decoded.pixels, own, height * width).map((value) => (value > 127 ? 1 : 0));
  };
  return { at, rows };
}

/** Assigns images to splits. If the files do not name a test split, some training images are drawn for it. */
function withTest(
  listed: DecodedImage[],
  { splits }: LabelledImages,
  { testFraction, seed, source, earlier, draw = "path" }: LabelledDatasetOptions,
): DecodedImage[] {
  if (splits.test !== undefined) return listed;
  const train = listed.filter(({ name }) => name === "train");
  if (train.length < 2)
    throw new BatchCamError(
      "E_DATA",
      `loadDataset: ${source}: ${train.length} image is too few for a training and a test split; add images, or a test/ folder`,
    );
  const labels = train.map(({ label }) => label);
  const decided = (place: number) => {
    const before = earlier?.(train[place] as DecodedImage);
    return before === undefined ? undefined : before === "test";
  };
  const held =
    draw === "order"
      ? heldOutByOrder(labels, testFraction, seed)
      : heldOut(
          train.map((image) => image.relative),
          labels,
          { purpose: "test", fraction: testFraction, seed, decided, hashes: train.map(({ hash }) => hash) },
        );
  if (held.size === 0) {
    const known = train.some((_, place) => decided(place) !== undefined);
    const why = known
      ? "the run has already used all images that could be drawn for training or validation"
      : "each class has a single image, which is needed to train on";
    throw new BatchCamError(
      "E_DATA",
      `loadDataset: ${source}: no image is left for the test split, which the files do not name: ${why}; add images, or a test/ folder`,
    );
  }
  const moved = new Set(train.filter((_, place) => held.has(place)));
  return listed.map((image) => (moved.has(image) ? { ...image, name: "test" } : image));
}

/**
 * The method of earlier versions, which kept no record of the data. It draws an exact share, so the choice depends on
 * the order and number of all images.
 */
function heldOutByOrder(labels: readonly number[], fraction: number, seed: number): Set<number> {
  const count = Math.min(Math.max(1, Math.round(labels.length * fraction)), labels.length - 1);
  return stratifiedChoice(labels, count, randomSource("testSplit", { seed }));
}

function expectEveryClass(classNames: readonly string[], labels: readonly number[], source: string): void {
  const present = new Set(labels);
  const missing = classNames.find((_, label) => !present.has(label));
  if (missing === undefined) return;
  const remedy = "add images, or hold fewer back for the test (testFraction)";
  throw new BatchCamError(
    "E_DATA",
    `loadDataset: ${source}: class "${missing}" has no image left to train on; ${remedy}`,
  );
}

const imageTensor = (bytes: Uint8Array, count: number, { channels, size }: LabelledDatasetOptions): Tensor =>
  tensor(bytes, { shape: [count, channels, ...size], dtype: "uint8" });

/**
 * Mean and standard deviation of each channel, for pixels scaled to [0, 1].
 * @param pixels images (N, C, H, W), one after the other
 */
export function channelStatistics(
  pixels: Uint8Array,
  { channels, size }: { channels: number; size: readonly [number, number] },
): Normalization {
  const plane = size[0] * size[1];
  const counts = Array.from({ length: channels }, () => new Float64Array(256));
  for (let start = 0, channel = 0; start < pixels.length; start += plane, channel = (channel + 1) % channels) {
    const own = counts[channel] as Float64Array;
    for (let i = start; i < start + plane; i++) own[pixels[i] as number] = (own[pixels[i] as number] as number) + 1;
  }
  const moments = counts.map((own) => {
    const total = own.reduce((sum, n) => sum + n, 0);
    const mean = own.reduce((sum, n, value) => sum + (n * value) / 255, 0) / total;
    const square = own.reduce((sum, n, value) => sum + n * (value / 255 - mean) ** 2, 0) / total;
    // A constant channel has standard deviation 0, which cannot be divided by.
    return { mean, std: Math.sqrt(square) || 1 };
  });
  return { mean: moments.map(({ mean }) => mean), std: moments.map(({ std }) => std) };
}
