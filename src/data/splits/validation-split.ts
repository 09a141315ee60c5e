import { types } from "node:util";
import { describeValue, optionsOf, wrongArgument } from "../../arguments.ts";
import { counted } from "../../counted.ts";
import { BatchCamError } from "../../errors.ts";
import { tensor, tidy } from "../../tensor/index.ts";
import { membersOf } from "../batches/prototypes.ts";
import { type RandomSource, randomSource, shuffle } from "../batches/random.ts";
import { heldOut, steadyFraction } from "./held-out.ts";
import { expectSplit, type Split } from "./split.ts";

export interface ValidationOptions {
  /** Images to hold out, from 1 to N − 1; about so many where the images have paths. */
  images: number;
  /** The choice is a function of the labels (or paths), `images` and this integer alone, on every machine. */
  seed: number;
}

/** How images that have paths are held out. */
export interface ValidationDraw {
  /** Share that is held out. */
  fraction: number;
  /** Where an image belongs that an earlier draw has placed, by its place in the split. */
  decided?: (place: number) => boolean | undefined;
}

/**
 * Holds out a validation split for model selection: as near as whole images allow, each class keeps its share. Where images have
 * paths, each is drawn by its own path (`heldOut`), so that adding one moves no other (with the exceptions named there), and the number of images is about the one asked
 * for. Both parts are copies in the original order; `split` stays as it is, for the caller to free. The test split is refused,
 * because what was selected on it can no longer be judged on it.
 */
export function splitValidation(split: Split, options: ValidationOptions): { train: Split; val: Split } {
  const { images, seed } = optionsOf("splitValidation", options, ["images", "seed"]);
  expectSplit("splitValidation", split);
  const count = split.labels.numel;
  if (split.name === "test") {
    throw new BatchCamError("E_ARGUMENT", "splitValidation: split must not be the test split; pass the training split");
  }
  if (!Number.isInteger(images) || images < 1 || images >= count) {
    const range = `an integer from 1 to ${count - 1} (the split has ${counted(count, "image")})`;
    throw new BatchCamError("E_ARGUMENT", `splitValidation: images must be ${range}, got ${describeValue(images)}`);
  }
  if (split.paths !== undefined) return drawValidation(split, seed, { fraction: steadyFraction(images, count) });
  const labels = Array.from(split.labels.data() as BigInt64Array, Number);
  return parted(split, stratifiedChoice(labels, images, randomSource("splitValidation", { seed })));
}

/** As `splitValidation`, of images that have paths, by the share that is held out. */
export function drawValidation(split: Split, seed: number, draw: ValidationDraw): { train: Split; val: Split } {
  const labels = Array.from(split.labels.data() as BigInt64Array, Number);
  const classes = new Set(labels).size;
  const everyClass = draw.fraction * labels.length >= classes;
  return parted(
    split,
    heldOut(split.paths ?? [], labels, { ...draw, hashes: split.hashes, purpose: "val", seed, everyClass }),
  );
}

function parted(split: Split, held: ReadonlySet<number>): { train: Split; val: Split } {
  const indices = Int32Array.from({ length: split.labels.numel }, (_, i) => i);
  return {
    train: selectImages(split, { indices: indices.filter((i) => !held.has(i)), name: "train" }),
    val: selectImages(split, { indices: indices.filter((i) => held.has(i)), name: "val" }),
  };
}

/** A copy of the images at `indices`, in that order, as a split of its own. */
export function selectImages(split: Split, selection: { indices: Int32Array; name: Split["name"] }): Split {
  const { indices, name } = optionsOf("selectImages", selection, ["indices", "name"]);
  expectSplit("selectImages", split);
  if (!types.isInt32Array(indices)) throw wrongArgument("selectImages: indices", "an Int32Array", indices);
  const chosen = tidy(() => {
    const index = tensor(indices, { dtype: "int32" });
    const masks = split.masks === undefined ? {} : { masks: split.masks.indexSelect(0, index) };
    return { images: split.images.indexSelect(0, index), labels: split.labels.indexSelect(0, index), ...masks };
  });
  const of = (list: readonly string[]) => Array.from(indices, (i) => list[i] as string);
  const { paths, hashes, maskHashes } = split;
  const named = {
    ...(paths && { paths: of(paths) }),
    ...(hashes && { hashes: of(hashes) }),
    ...(maskHashes && { maskHashes: of(maskHashes) }),
  };
  return { ...split, ...chosen, ...named, name };
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
