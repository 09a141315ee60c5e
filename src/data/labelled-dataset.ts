import { BatchCamError } from "../errors.ts";
import { type Tensor, tensor } from "../tensor/index.ts";
import type { LabelledImage, LabelledImages, SplitName } from "./class-folder.ts";
import { type DecodeOptions, decodeImages, pack } from "./decoded-cache.ts";
import { randomSource } from "./random.ts";
import type { Normalization, Split } from "./split.ts";
import { stratifiedChoice } from "./validation-split.ts";

export interface LabelledDatasetOptions extends Omit<DecodeOptions, "onError"> {
  /** Share of the images that becomes the test split where the files name none. */
  testFraction: number;
  /** Seed of that choice. */
  seed: number;
  /** What becomes of files that cannot be read: the first one ends the loading, or each is left out and reported. */
  badImages: "fail" | "skip";
}

/** A user's own images in their splits; `val` where the files name one. */
export interface LabelledSplits {
  train: Split;
  val?: Split;
  test: Split;
  /** Files that were left out, and why. */
  warnings: readonly string[];
}

/**
 * Decodes labelled images into splits, normalised by the statistics of the training pixels.
 *
 * @throws E_DATA for an unreadable file (unless such are skipped), and where a class has no training image
 */
export async function loadLabelled(images: LabelledImages, options: LabelledDatasetOptions): Promise<LabelledSplits> {
  const { classNames } = images;
  const splits = withTest(images, options);
  const listed = (Object.keys(splits) as SplitName[]).flatMap((name) =>
    (splits[name] ?? []).map((image) => ({ ...image, name })),
  );
  const warnings = [...(images.warnings ?? [])];
  const onError = (error: BatchCamError) => void warnings.push(`left out: ${error.message}`);
  const { badImages, ...given } = options;
  const decoding = { ...given, ...(badImages === "skip" ? { onError } : {}) };
  const { pixels, kept } = await decodeImages(
    listed.map(({ path }) => path),
    decoding,
  );
  const length = options.channels * options.size[0] * options.size[1];
  const masks = await masksOf(listed, kept, decoding);
  const rowsOf = (name: SplitName) => {
    const own = [...kept.entries()].filter(([, i]) => listed[i]?.name === name && masks.at.get(i) !== null);
    const bytes = pack(
      pixels,
      own.map(([row]) => row),
      length,
    );
    const labels = own.map(([, i]) => (listed[i] as LabelledImage).label);
    return { bytes, labels, masks: masks.rows(own.map(([, i]) => i)) };
  };
  const train = rowsOf("train");
  expectEveryClass(classNames, train.labels, options.source);
  const normalization = channelStatistics(train.bytes, options);
  const splitOf = (name: SplitName, { bytes, labels, masks: own }: ReturnType<typeof rowsOf>): Split => ({
    ...{ name, numClasses: classNames.length, classNames, normalization },
    images: imageTensor(bytes, labels.length, options),
    labels: tensor(BigInt64Array.from(labels, BigInt), { shape: [labels.length], dtype: "int64" }),
    ...(own === null ? {} : { masks: tensor(own, { shape: [labels.length, ...options.size], dtype: "uint8" }) }),
  });
  const [val, test] = [splits.val === undefined ? null : rowsOf("val"), rowsOf("test")];
  for (const [name, part] of Object.entries({ val, test }))
    if (part?.labels.length === 0) throw noImage(name, options.source);
  return {
    train: splitOf("train", train),
    ...(val === null ? {} : { val: splitOf("val", val) }),
    test: splitOf("test", test),
    warnings,
  };
}

const noImage = (name: string, source: string): BatchCamError =>
  new BatchCamError("E_DATA", `loadDataset: ${source}: ${name} has no image that can be read`);

interface Masks {
  /** By the place of its image in the list: its row; null where it could not be read. */
  at: ReadonlyMap<number, number | null>;
  /** 1 where the masks of these images are brighter than half, (N, H, W); null where not all of them have one. */
  rows: (places: readonly number[]) => Uint8Array | null;
}

/** The masks of the images that could be read. */
async function masksOf(listed: readonly LabelledImage[], kept: Int32Array, decoding: DecodeOptions): Promise<Masks> {
  const masked = Array.from(kept).filter((i) => listed[i]?.mask !== undefined);
  if (masked.length === 0) return { at: new Map(), rows: () => null };
  // Margins and what is transparent are no part of a mask.
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

/** The splits as named; else a share of train, of each class alike and by seed, becomes the test split. */
function withTest(
  { splits }: LabelledImages,
  { testFraction, seed, source }: LabelledDatasetOptions,
): LabelledImages["splits"] {
  const { train = [], test } = splits;
  if (test !== undefined) return splits;
  const count = Math.max(1, Math.round(train.length * testFraction));
  if (train.length < 2)
    throw new BatchCamError(
      "E_DATA",
      `loadDataset: ${source}: ${train.length} image is too few for a training and a test split; add images, or a test/ folder`,
    );
  const labels = train.map(({ label }) => label);
  const held = stratifiedChoice(labels, Math.min(count, train.length - 1), randomSource("testSplit", { seed }));
  return { ...splits, train: train.filter((_, i) => !held.has(i)), test: train.filter((_, i) => held.has(i)) };
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

/** Mean and deviation of each channel's pixels in [0, 1], of images one after the other. */
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
    // A channel of one value has no deviation to divide by.
    return { mean, std: Math.sqrt(square) || 1 };
  });
  return { mean: moments.map(({ mean }) => mean), std: moments.map(({ std }) => std) };
}
