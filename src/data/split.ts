import { objectOf, wrongArgument } from "../arguments.ts";
import { isTensor } from "../tensor/core.ts";
import { expectShapes } from "../tensor/expect.ts";
import type { Tensor } from "../tensor/index.ts";
import { expectClassCount } from "../tensor/labels.ts";

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
  readonly numClasses: number;
  readonly classNames: readonly string[];
  readonly normalization: Normalization;
}

/** Fails for what is no split: two live tensors, (N,C,H,W) and (N), and what belongs to them. */
export function expectSplit(operation: string, split: Split): void {
  const { images, labels, numClasses, paths, hashes } = objectOf(`${operation}: split`, split);
  expectShapes(operation, { "split.images": [images, "N C H W"], "split.labels": [labels, "N"] });
  expectClassCount(operation, numClasses);
  for (const [name, list] of Object.entries({ paths, hashes }))
    if (list !== undefined && (!Array.isArray(list) || list.length !== labels.numel))
      throw wrongArgument(`${operation}: split.${name}`, `one for each of ${labels.numel} images`, list);
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
