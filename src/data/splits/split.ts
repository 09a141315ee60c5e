import { objectOf, wrongArgument } from "../../arguments.ts";
import { counted } from "../../counted.ts";
import type { Tensor } from "../../tensor/index.ts";
import { expectClassCount, expectShapes, isTensor } from "../../tensor/internal.ts";

/** Mean and standard deviation of the training pixels in [0, 1], one value per channel. */
export interface Normalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** One split of a data set, with all its images in memory. */
export interface Split {
  readonly name: SplitName;
  /** uint8 (N,C,H,W), 0 to 255. */
  readonly images: Tensor;
  /** int64 (N), 0 to numClasses − 1. */
  readonly labels: Tensor;
  /**
   * uint8 (N, H, W), 1 at pixels that should not affect the prediction (such as a decoy's patch); absent if they are
   * not known.
   */
  readonly masks?: Tensor;
  /** Path of each image's file within the data set, with "/" between folders; absent if the images have no names. */
  readonly paths?: readonly string[];
  /**
   * Digest of each image's content, computed on its file if it has one. Equal contents have equal digests. Absent
   * without `paths`.
   */
  readonly hashes?: readonly string[];
  /** Digest of each mask's file; absent if the images have no masks. Images are identified by `hashes` alone. */
  readonly maskHashes?: readonly string[];
  readonly numClasses: number;
  readonly classNames: readonly string[];
  readonly normalization: Normalization;
}

/**
 * Throws unless the value is a valid split: two live tensors, (N, C, H, W) and (N), with matching classes,
 * normalisation and lists.
 */
export function expectSplit(operation: string, split: Split): void {
  const { images, labels, numClasses, normalization, paths, hashes, maskHashes } = objectOf(
    `${operation}: split`,
    split,
  );
  const { C = 0 } = expectShapes(operation, { "split.images": [images, "N C H W"], "split.labels": [labels, "N"] });
  expectClassCount(operation, numClasses);
  expectNormalization(`${operation}: split.normalization`, normalization, C);
  for (const [name, list] of Object.entries({ paths, hashes, maskHashes }))
    if (list !== undefined && (!Array.isArray(list) || list.length !== labels.numel))
      throw wrongArgument(`${operation}: split.${name}`, `one for each of ${counted(labels.numel, "image")}`, list);
}

/** Frees the tensors of a split. */
export function disposeSplit(split: Split): void {
  const { images, labels } = objectOf("disposeSplit: split", split);
  for (const [name, tensor] of Object.entries({ images, labels }))
    if (!isTensor(tensor)) throw wrongArgument(`disposeSplit: ${name}`, "a Tensor", tensor);
  images.dispose();
  labels.dispose();
  split.masks?.dispose();
}

/**
 * Throws unless the mean and the standard deviation are lists of one number for all channels or one for each, all
 * finite, and no standard deviation is zero.
 */
export function expectNormalization(place: string, normalization: Normalization, channels: number): void {
  const { mean, std } = objectOf(place, normalization);
  for (const [name, figures] of Object.entries({ mean, std })) {
    const fits = Array.isArray(figures) && [1, channels].includes(figures.length) && figures.every(Number.isFinite);
    if (fits && (name === "mean" || figures.every((figure) => figure !== 0))) continue;
    const rule = name === "std" ? "finite numbers other than 0" : "finite numbers";
    throw wrongArgument(`${place}.${name}`, `a list of 1 or ${channels} ${rule}`, figures);
  }
}

/** The splits of a data set, in the order in which they are listed. */
export const SPLIT_NAMES = ["train", "val", "test"] as const;

export type SplitName = (typeof SPLIT_NAMES)[number];

/** The usual names of splits, in lower case. */
const SPELLINGS: Readonly<Record<string, SplitName>> = {
  train: "train",
  training: "train",
  val: "val",
  valid: "val",
  validation: "val",
  test: "test",
  testing: "test",
};

/** The split that the name of a folder or a cell of a table refers to, ignoring case; undefined for other names. */
export function splitNamed(name: string): SplitName | undefined {
  const key = name.toLowerCase();
  return Object.hasOwn(SPELLINGS, key) ? SPELLINGS[key] : undefined;
}

/**
 * Mean and standard deviation of ImageNet's RGB pixels in [0, 1]. The pretrained weights of torchvision, timm and
 * transformers expect it.
 */
export const IMAGENET_NORMALIZATION: Normalization = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/** The normalisation that leaves pixels in [0, 1] unchanged. */
export const NO_NORMALIZATION: Normalization = { mean: [0], std: [1] };

/**
 * Adapts a normalisation to another number of channels. A single value is used for every channel. For grey images the
 * values of the channels are averaged, as timm does; for ImageNet this gives 0.449 and 0.226.
 *
 * @returns null if the number of channels cannot be adapted
 */
export function normalizationForChannels({ mean, std }: Normalization, channels: number): Normalization | null {
  const adapt = (figures: readonly number[]) => {
    if (figures.length === channels) return [...figures];
    if (figures.length === 1) return new Array<number>(channels).fill(figures[0] as number);
    return channels === 1 ? [average(figures)] : null;
  };
  const fitted = { mean: adapt(mean), std: adapt(std) };
  return fitted.mean === null || fitted.std === null ? null : { mean: fitted.mean, std: fitted.std };
}

/** The mean, rounded to 12 digits to hide rounding errors: 0.226 instead of 0.22599999999999998. */
function average(figures: readonly number[]): number {
  const sum = figures.reduce((total, figure) => total + figure, 0);
  return Number((sum / figures.length).toPrecision(12));
}
