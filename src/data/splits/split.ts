import { objectOf, wrongArgument } from "../../arguments.ts";
import { counted } from "../../counted.ts";
import type { Tensor } from "../../tensor/index.ts";
import { expectClassCount, expectShapes, isTensor } from "../../tensor/internal.ts";

/** Mean and standard deviation of the training pixels in [0,1], one figure per channel. */
export interface Normalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** One part of a data set, whole in memory. */
export interface Split {
  readonly name: "train" | "val" | "test";
  /** uint8 (N,C,H,W), 0 to 255. */
  readonly images: Tensor;
  /** int64 (N), 0 to numClasses − 1. */
  readonly labels: Tensor;
  /** uint8 (N,H,W), 1 where an image holds what should not matter (a decoy's patch); absent where that is not known. */
  readonly masks?: Tensor;
  /** Name of each image: its file's path within the data set, with "/" between folders. Absent where images have no names. */
  readonly paths?: readonly string[];
  /** Digest of each image's content, of its file where it has one: equal contents have equal digests. Absent without `paths`. */
  readonly hashes?: readonly string[];
  /** Digest of each mask's file; absent where images have none. Masks do not tell images apart: `hashes` do. */
  readonly maskHashes?: readonly string[];
  readonly numClasses: number;
  readonly classNames: readonly string[];
  readonly normalization: Normalization;
}

/** Fails for what is no split: two live tensors, (N,C,H,W) and (N), and what belongs to them. */
export function expectSplit(operation: string, split: Split): void {
  const { images, labels, numClasses, normalization, paths, hashes, maskHashes } = objectOf(
    `${operation}: split`,
    split,
  );
  const { C = 0 } = expectShapes(operation, { "split.images": [images, "N C H W"], "split.labels": [labels, "N"] });
  expectClassCount(operation, numClasses);
  expectNormalization(operation, normalization, C);
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

/** Fails unless each figure is a list of finite numbers, one for all channels or one for each, and no deviation is zero. */
function expectNormalization(operation: string, normalization: Normalization, channels: number): void {
  const { mean, std } = objectOf(`${operation}: split.normalization`, normalization);
  for (const [name, figures] of Object.entries({ mean, std })) {
    const fits = Array.isArray(figures) && [1, channels].includes(figures.length) && figures.every(Number.isFinite);
    if (fits && (name === "mean" || figures.every((figure) => figure !== 0))) continue;
    const rule = name === "std" ? "finite numbers other than 0" : "finite numbers";
    throw wrongArgument(`${operation}: split.normalization.${name}`, `a list of 1 or ${channels} ${rule}`, figures);
  }
}

export type SplitName = "train" | "val" | "test";

/** Usual names of splits, in lower case. */
const SPELLINGS: Readonly<Record<string, SplitName>> = {
  train: "train",
  training: "train",
  val: "val",
  valid: "val",
  validation: "val",
  test: "test",
  testing: "test",
};

/** The split that a folder's name or a cell means, whatever its capitals; undefined for other names. */
export function splitNamed(name: string): SplitName | undefined {
  const key = name.toLowerCase();
  return Object.hasOwn(SPELLINGS, key) ? SPELLINGS[key] : undefined;
}

/** Of the RGB pixels of ImageNet in [0, 1]: what the weights of torchvision, timm and transformers are for. */
export const IMAGENET_NORMALIZATION: Normalization = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/** (x − mean) / std that leaves pixels in [0, 1]. */
export const NO_NORMALIZATION: Normalization = { mean: [0], std: [1] };

/**
 * The same figures for images of another number of channels: one figure holds for every channel; grey images take the mean
 * over the channels, as timm does, which is 0.449 and 0.226 for ImageNet.
 *
 * @returns null where neither is the case
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

/** Rounded where the sum's last digits are noise: 0.226, not 0.22599999999999998. */
function average(figures: readonly number[]): number {
  const sum = figures.reduce((total, figure) => total + figure, 0);
  return Number((sum / figures.length).toPrecision(12));
}
