import { optionsOf } from "../../arguments.ts";
import type { TrainConfig } from "../../config/index.ts";
import { counted } from "../../counted.ts";
import type { Split } from "../../data/index.ts";
import { expectSplit } from "../../data/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { normalizedSplits } from "./normalization.ts";
import type { Parts } from "./owned-splits.ts";

/**
 * Splits that a program passes in place of a data set's, made by `splitOf` for example. The program still owns them and frees
 * them. The pixels of all of them are normalised as those of `train`.
 */
export interface GivenSplits {
  train: Split;
  /** The images that choose the best epoch. Without them, some of `train` are held out. */
  validation?: Split | undefined;
  /** Another name for `validation`. */
  val?: Split | undefined;
  /** Without them the run is not tested. */
  test?: Split | undefined;
}

/** The splits that a program passes, under their own names. Fails if they do not belong together. */
export function givenParts(given: GivenSplits, config: TrainConfig): Parts {
  const {
    train,
    validation,
    val = validation,
    test,
  } = optionsOf("data", given, ["train", "validation", "val", "test"]);
  if (given.val !== undefined && validation !== undefined)
    throw new BatchCamError("E_ARGUMENT", "data: val is another name for validation: give one of them");
  const parts = Object.entries({ train, val, test }).filter(([name, split]) => name === "train" || split !== undefined);
  for (const [name, split] of parts as [string, Split][]) expectLike(name, split, train);
  const named = parts.map(([name, split]) => [name, { ...split, name, normalization: train.normalization }]);
  return normalizedSplits(Object.fromEntries(named) as Parts, config);
}

/** Fails for a split without images, and for one whose images and classes are not those of the training split. */
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
