import { types } from "node:util";
import { expectInteger, expectNumber, objectOf, optionsOf, wrongArgument } from "../../arguments.ts";
import { type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { channelsLast, expectTensor, gatherImages, type ImageSource } from "../../tensor/internal.ts";
import { expectSplit, type Normalization, type Split } from "../splits/split.ts";
import { membersOf } from "./prototypes.ts";
import { randomBelow, randomSource, shuffle } from "./random.ts";

export interface BatchPlan {
  batchSize: number;
  /** Seed of the order, needed if `shuffle` is on. The order depends only on (count, seed, epoch). */
  seed?: number;
  epoch?: number;
  shuffle?: boolean;
  /** Whether to drop the last batch if it is smaller than the others. */
  dropLast?: boolean;
  /** If the last batch has fewer images than this, it is merged into the batch before it, if there is one (default 1: never). */
  smallestBatch?: number;
  /** Number of batches to skip. The remaining batches are the same as without skipping. */
  startBatch?: number;
}

/** One batch of normalised images with labels. */
export interface Batch {
  /** float32 (B,C,H,W): (x/255 − mean) / std. */
  images: Tensor;
  /** int64 (B). */
  labels: Tensor;
}

/** The options that determine the sizes of the batches. */
export type BatchSizes = Pick<BatchPlan, "batchSize" | "dropLast" | "smallestBatch">;

const PLAN = [
  "batchSize",
  "seed",
  "epoch",
  "shuffle",
  "dropLast",
  "smallestBatch",
  "startBatch",
] as const satisfies (keyof BatchPlan)[];

/** Number of batches in one epoch over `count` images. */
export function batchCount(count: number, plan: BatchSizes): number {
  const { batchSize, dropLast = false, smallestBatch = 1 } = optionsOf<BatchPlan>("batches", plan, PLAN);
  // Indices are stored as int32.
  expectInteger("batches: count", count, 0, 2 ** 31 - 1);
  expectInteger("batches: batchSize", batchSize, 1);
  expectInteger("batches: smallestBatch", smallestBatch, 1);
  const whole = Math.floor(count / batchSize);
  const rest = count % batchSize;
  const joined = whole > 0 && rest < smallestBatch;
  return rest === 0 || dropLast || joined ? whole : whole + 1;
}

/** The range of positions of each batch, as [start, end). */
export function batchBounds(count: number, plan: BatchSizes): [number, number][] {
  const batches = batchCount(count, plan);
  const { batchSize, dropLast = false } = plan;
  return Array.from({ length: batches }, (_, i) => {
    const start = i * batchSize;
    return [start, i === batches - 1 && !dropLast ? count : start + batchSize];
  });
}

/**
 * The image indices of each batch of one epoch over `count` images. It makes no tensors, so it is cheap to call, skip
 * through and repeat.
 */
export function batchIndices(count: number, plan: BatchPlan): Int32Array[] {
  const { seed = 0, epoch = 0, shuffle: shuffled = true, startBatch = 0 } = optionsOf("batchIndices", plan, PLAN);
  const batches = batchCount(count, plan);
  expectInteger("batches: startBatch", startBatch, 0);
  const rule = `be at most ${batches}, the batches of an epoch`;
  expectNumber("batches: startBatch", startBatch, rule, (n) => n <= batches);
  const order = Int32Array.from({ length: count }, (_, i) => i);
  if (shuffled) shuffle(order, randomSource("batchIndices", { seed, epoch }));
  return batchBounds(count, plan)
    .slice(startBatch)
    .map(([start, end]) => order.subarray(start, end));
}

/**
 * The batches of an epoch with balanced classes: as many indices as the split has images, drawn with replacement so
 * that every class with images is equally likely. They depend only on the labels, the seed and the epoch.
 */
export function balancedIndices(split: Split, plan: BatchPlan): Int32Array[] {
  expectSplit("balancedIndices", split);
  const classes = membersOf(Array.from(split.labels.data() as BigInt64Array, Number));
  const { seed = 0, epoch = 0 } = optionsOf("balancedIndices", plan, PLAN);
  const next = randomSource("balancedIndices", { seed, epoch });
  const drawn = Int32Array.from({ length: split.labels.numel }, () => {
    const own = classes[randomBelow(next, classes.length)] as number[];
    return own[randomBelow(next, own.length)] as number;
  });
  return batchIndices(drawn.length, { ...plan, shuffle: false }).map((places) => places.map((i) => drawn[i] as number));
}

/**
 * Gathers the images at `indices` as float32 (B, C, H, W) in [0, 1], without normalisation. Prototypes and displayed
 * images use this scale.
 */
export function gatherPixels(split: Split, indices: Int32Array): Tensor {
  expectSplit("gatherPixels", split);
  return tidy(() => gather(split, indices, {}) ?? select(split.images, indices).to("float32").div(255));
}

/** Gathers images as `gatherPixels` does, with their labels. Call it inside `tidy`, or dispose of both tensors. */
export function gatherLabelled(split: Split, indices: Int32Array): { pixels: Tensor; labels: Tensor } {
  expectSplit("gatherLabelled", split);
  return tidy(() => ({ pixels: gatherPixels(split, indices), labels: select(split.labels, indices) }));
}

/**
 * Gathers and normalises one batch with a fused kernel, in channels-last memory format if requested. Call it inside
 * `tidy`, or dispose of both tensors.
 */
export function gatherBatch(split: Split, indices: Int32Array, options: { channelsLast?: boolean } = {}): Batch {
  expectSplit("gatherBatch", split);
  const { channelsLast: last = false } = optionsOf("gatherBatch", options, ["channelsLast"]);
  return gatherUnchecked(split, indices, last);
}

/** `gatherBatch` of a split that was checked before, as the trainer's are when a run begins. */
export function gatherUnchecked(split: Split, indices: Int32Array, last: boolean): Batch {
  return tidy(() => {
    const labels = select(split.labels, indices);
    const gathered = gather(split, indices, { normalization: split.normalization, last });
    if (gathered !== null) return { images: gathered, labels };
    const images = normalize(gatherPixels(split, indices), split.normalization);
    return { images: last ? channelsLast(images) : images, labels };
  });
}

/** Gathers and normalises in one pass if the images are contiguous uint8; null if they are not. */
function gather(
  { images }: Split,
  indices: Int32Array,
  { normalization, last = false }: { normalization?: Normalization; last?: boolean },
): Tensor | null {
  const [, channels = 0] = images.sizes;
  const scale = normalization ?? { mean: new Array(channels).fill(0), std: new Array(channels).fill(1) };
  const source = imageSource(images, indices, scale);
  return source && gatherImages(source, last);
}

/**
 * Prepares the arguments of the kernels that gather batches; null if the images are not contiguous uint8. Call it
 * inside `tidy`.
 */
export function imageSource(images: Tensor, indices: Int32Array, { mean, std }: Normalization): ImageSource | null {
  const [, channels = 0] = images.sizes;
  const whole = images.dtype === "uint8" && images.isContiguous && images.numel > 0;
  if (!whole || !types.isInt32Array(indices) || indices.length === 0) return null;
  if (mean.length !== channels || std.length !== channels) return null;
  const figures = (list: readonly number[]) => tensor([...list], { dtype: "float32" });
  return { images, indices: tensor(indices, { dtype: "int32" }), mean: figures(mean), std: figures(std) };
}

/** (x − mean) / std per channel, for images (B,C,H,W) in [0,1]. */
export function normalize(pixels: Tensor, normalization: Normalization): Tensor {
  const { mean, std } = objectOf("normalize: normalization", normalization);
  expectTensor(pixels, "normalize: pixels");
  return tidy(() => pixels.sub(perChannel("mean", mean)).div(perChannel("std", std)));
}

/**
 * Yields the batches of one epoch. Each batch is disposed when the next one is requested or the loop ends, so that a
 * plain `for` loop holds one batch in memory. Clone a tensor that has to live longer.
 */
export function* batches(split: Split, plan: BatchPlan): Generator<Batch, void, undefined> {
  expectSplit("batches", split);
  for (const indices of batchIndices(split.labels.numel, plan)) {
    const batch = gatherBatch(split, indices);
    try {
      yield batch;
    } finally {
      batch.images.dispose();
      batch.labels.dispose();
    }
  }
}

function select(source: Tensor, indices: Int32Array): Tensor {
  if (!types.isInt32Array(indices) && !Array.isArray(indices))
    throw wrongArgument("batches: indices", "an Int32Array", indices);
  return source.indexSelect(0, tensor(indices, { dtype: "int32" }));
}

/**
 * The values per channel, shaped (C, 1, 1). For a single channel it is a number, which the engine applies without
 * broadcasting.
 */
function perChannel(name: string, figures: readonly number[]): Tensor | number {
  if (!Array.isArray(figures)) throw wrongArgument(`normalize: ${name}`, "an array of numbers", figures);
  for (const figure of figures) expectNumber(`normalize: ${name}`, figure);
  if (figures.length === 1) return figures[0] as number;
  return tensor([...figures], { dtype: "float32", shape: [figures.length, 1, 1] });
}
