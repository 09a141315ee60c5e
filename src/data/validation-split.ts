import { types } from "node:util";
import { describeValue, objectOf, optionsOf, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { tensor, tidy } from "../tensor/index.ts";
import { membersOf } from "./class-members.ts";
import { type RandomSource, randomSource, shuffle } from "./random.ts";
import { expectSplit, type Split } from "./split.ts";

export interface ValidationOptions {
  /** Images to hold out, from 1 to N − 1. */
  images: number;
  /** The choice is a function of the labels, `images` and this integer alone, on every machine. */
  seed: number;
}

/**
 * Holds out a validation split for model selection: as near as whole images allow, each class keeps its share. Both
 * parts are copies in the original order; `split` stays as it is, for the caller to free. The test split is refused,
 * because what was selected on it can no longer be judged on it.
 */
export function splitValidation(split: Split, options: ValidationOptions): { train: Split; val: Split } {
  const { images, seed } = optionsOf("splitValidation", options);
  expectSplit("splitValidation", split);
  const count = split.labels.numel;
  if (split.name === "test") {
    throw new BatchCamError("E_ARGUMENT", "splitValidation: split must not be the test split; pass the training split");
  }
  if (!Number.isInteger(images) || images < 1 || images >= count) {
    const range = `an integer from 1 to ${count - 1} (the split has ${count} images)`;
    throw new BatchCamError("E_ARGUMENT", `splitValidation: images must be ${range}, got ${describeValue(images)}`);
  }
  const labels = Array.from(split.labels.data() as BigInt64Array, Number);
  const heldOut = stratifiedChoice(labels, images, randomSource("splitValidation", { seed }));
  const indices = Int32Array.from(labels.keys());
  return {
    train: selectImages(split, { indices: indices.filter((i) => !heldOut.has(i)), name: "train" }),
    val: selectImages(split, { indices: indices.filter((i) => heldOut.has(i)), name: "val" }),
  };
}

/** A copy of the images at `indices`, in that order, as a split of its own. */
export function selectImages(split: Split, selection: { indices: Int32Array; name: Split["name"] }): Split {
  const { indices, name } = objectOf("selectImages: selection", selection);
  expectSplit("selectImages", split);
  if (!types.isInt32Array(indices)) throw wrongArgument("selectImages: indices", "an Int32Array", indices);
  const chosen = tidy(() => {
    const index = tensor(indices, { dtype: "int32" });
    const masks = split.masks === undefined ? {} : { masks: split.masks.indexSelect(0, index) };
    return { images: split.images.indexSelect(0, index), labels: split.labels.indexSelect(0, index), ...masks };
  });
  return { ...split, ...chosen, name };
}

/** Places of `total` images, of each class in its share, chosen by the stream. */
export function stratifiedChoice(labels: readonly number[], total: number, next: RandomSource): Set<number> {
  const classes = membersOf(labels);
  const quotas = largestRemainder(
    classes.map((own) => own.length),
    total,
  );
  return new Set(classes.flatMap((own, c) => shuffle(own, next).slice(0, quotas[c])));
}

/** Whole shares of `total` in proportion to `sizes`; what rounding leaves goes to the largest fractions, first class first. */
function largestRemainder(sizes: readonly number[], total: number): number[] {
  const all = sizes.reduce((sum, size) => sum + size, 0);
  const quotas = sizes.map((size) => Math.floor((size * total) / all));
  const rest = total - quotas.reduce((sum, quota) => sum + quota, 0);
  const byFraction = [...sizes.keys()].sort((a, b) => fraction(b) - fraction(a) || a - b);
  for (const c of byFraction.slice(0, rest)) (quotas[c] as number)++;
  return quotas;

  function fraction(c: number): number {
    return ((sizes[c] as number) * total) % all; // in units of 1/all: exact, unlike the quotient
  }
}
