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
  /** Number of images to hold out, from 1 to N − 1. It is approximate if the images have paths. */
  images: number;
  /** The choice depends only on the labels (or paths), `images` and this integer, on every machine. */
  seed: number;
}

/** How images with paths are held out. */
export interface ValidationDraw {
  /** Share of the images that is held out. */
  fraction: number;
  /** Whether an earlier draw held an image out, by its position in the split; undefined if it has to be drawn. */
  decided?: (place: number) => boolean | undefined;
}

/**
 * Holds out a validation split for model selection. The split is stratified: the classes keep their proportions as far
 * as whole images allow. If the images have paths, each image is drawn by its own path (`heldOut`), so that adding an
 * image does not move others (with the exceptions described there), and the number of images is only approximate. Both
 * parts are copies in the original order; the caller still owns `split`. The test split is refused, because a model
 * that was selected on it can no longer be evaluated on it.
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

/** `splitValidation` for images with paths, with the share that is held out in place of a number of images. */
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

/** Copies the images at `indices`, in that order, to a new split. */
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

/** A stratified choice: the positions of `total` images drawn at random, each class in proportion to its size. */
export function stratifiedChoice(labels: readonly number[], total: number, next: RandomSource): Set<number> {
  const classes = membersOf(labels);
  const quotas = largestRemainder(
    classes.map((own) => own.length),
    total,
  );
  return new Set(classes.flatMap((own, c) => shuffle(own, next).slice(0, quotas[c])));
}

/**
 * Divides `total` into whole numbers in proportion to `sizes` by the largest remainder method. Of equal remainders the
 * first class wins.
 */
function largestRemainder(sizes: readonly number[], total: number): number[] {
  const all = sizes.reduce((sum, size) => sum + size, 0);
  const quotas = sizes.map((size) => Math.floor((size * total) / all));
  const rest = total - quotas.reduce((sum, quota) => sum + quota, 0);
  const byFraction = [...sizes.keys()].sort((a, b) => fraction(b) - fraction(a) || a - b);
  for (const c of byFraction.slice(0, rest)) (quotas[c] as number)++;
  return quotas;

  function fraction(c: number): number {
    return ((sizes[c] as number) * total) % all; // in units of 1/all, so that the comparison is exact
  }
}
