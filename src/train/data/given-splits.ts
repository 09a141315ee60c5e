import { optionsOf } from "../../arguments.ts";
import type { TrainConfig } from "../../config/index.ts";
import { counted } from "../../counted.ts";
import type { Dataset, Split, SplitName } from "../../data/index.ts";
import { expectSplit } from "../../data/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { normalizedSplits } from "./normalization.ts";
import type { Parts } from "./owned-splits.ts";

/**
 * Splits that a program passes instead of a data set's name, made by `splitOf`, for example. The program keeps ownership and frees them.
 * All pixels are normalised with the normalisation of `train`.
 */
export interface GivenSplits {
  train: Split;
  /** The images on which the best epoch is chosen. Without them, some images of `train` are held out. */
  validation?: Split | undefined;
  /** Another name for `validation`. */
  val?: Split | undefined;
  /** The test images. Without them the run is not tested. */
  test?: Split | undefined;
}

/** A `Dataset` may be passed as it is; what it has besides its splits is in each split too. */
const KNOWN = [
  ...(["train", "validation", "val", "test"] as const),
  ...(["name", "numClasses", "classNames", "normalization", "warnings", "digest"] as const),
];

/** The splits that a program passes, by their names. Throws if they do not belong together. */
export function givenParts(given: GivenSplits, config: TrainConfig): Parts {
  const {
    train,
    validation,
    val = validation,
    test,
  } = optionsOf<GivenSplits & Partial<Omit<Dataset, SplitName>>>("data", given, KNOWN);
  if (given.val !== undefined && validation !== undefined)
    throw new BatchCamError("E_ARGUMENT", "data: val is another name for validation: give one of them");
  const parts = Object.entries({ train, val, test }).filter(([name, split]) => name === "train" || split !== undefined);
  for (const [name, split] of parts as [string, Split][]) expectLike(name, split, train);
  const named = parts.map(([name, split]) => [name, { ...split, name, normalization: train.normalization }]);
  return normalizedSplits(Object.fromEntries(named) as Parts, config);
}

/** Throws for a split without images, and for one whose image shape or classes differ from those of the training split. */
function expectLike(name: string, split: Split, train: Split): void {
  expectSplit(`data: ${name}`, split);
  if (split.labels.numel === 0) throw new BatchCamError("E_DATA", `data: ${name} has no images: give at least one`);
  if (about(split) === about(train)) return;
  throw new BatchCamError("E_ARGUMENT", `data: ${name} has ${about(split)}, and train ${about(train)}`);
}

function about({ images, classNames, numClasses }: Split): string {
  const [, ...size] = images.sizes;
  return `images of ${size.join("x")} in ${counted(numClasses, "class")} (${[...classNames].join(", ")})`;
}
