import { BatchCamError } from "../../errors.ts";
import { randomBelow, randomSource } from "../batches/random.ts";
import type { ByteSplit } from "./idx.ts";

/**
 * Two published recipes for a patch in a corner that reveals the class in the training images and is misleading in the
 * test images:
 *
 * - "rrr" (Ross et al., arXiv 1703.03717): 4x4 pixels in a random corner. Its grey is 255 − 25·label in training; in
 *   the test the label is replaced by one drawn uniformly from all ten, independent of the image's own.
 * - "cdep" (Rieger et al., arXiv 1909.13584): 5x5 pixels. Its grey is 255 − 25·label in training and 25·label in the
 *   test, which is close to the training grey of label 10 − y. The mask that its authors penalise covers all four
 *   corners.
 */
export type DecoyVariant = "rrr" | "cdep";
export const DECOY_VARIANTS = ["rrr", "cdep"] as const satisfies DecoyVariant[];

/**
 * The grey of the patches, given the training grey g(y) = 255 − 25·y:
 *
 * - "train": g of the image's own label y;
 * - "test": the grey that the recipe tests with. For rrr it equals "random". For cdep it is 25·y = g(10 − y) − 5, which
 *   is not exactly a training grey: for most labels it is almost that of a wrong class, for y = 5 almost that of the
 *   own class, and for y = 0 it is black;
 * - "random": g of a label drawn uniformly from all ten;
 * - "opposite": g(9 − y), exactly the training grey of a class that is always wrong;
 * - "none": no patch.
 */
export type DecoyCue = "train" | "test" | "random" | "opposite" | "none";

export interface DecoyOptions {
  variant: DecoyVariant;
  cue: DecoyCue;
  /** The patches depend only on the seed, the name of the split and the position of the image in the split, on every machine. */
  seed: number;
  /** Name of the split. "train" and "test" use independent random streams. */
  name: string;
}

/** A split with patches, and the masks of the patches: (N, H, W), 1 inside. */
export interface DecoyedSplit extends ByteSplit {
  masks: Uint8Array;
}

/** Side length of each recipe's patch, in pixels. */
export const DECOY_SIDE = { rrr: 4, cdep: 5 } as const satisfies Record<DecoyVariant, number>;
const CLASSES = 10;

/** Copies a split of ten classes and adds a patch to a corner of each image. */
export function addDecoys(split: ByteSplit, { variant, cue, seed, name }: DecoyOptions): DecoyedSplit {
  const [count, , height, width] = split.shape;
  const side = DECOY_SIDE[variant];
  const images = new Uint8Array(split.images); // not slice(), which does not copy if the images are a Buffer
  const masks = new Uint8Array(count * height * width);
  for (const { image, corner, drawn } of draws("addDecoys", split, { variant, seed, name })) {
    const grey = greyOf({ variant, cue }, split.labels[image] as number, drawn);
    const start = image * height * width;
    const corners = variant === "cdep" ? allCorners(height, width, side) : [corner];
    if (grey !== null) paint(images.subarray(start, start + height * width), grey, { corners: [corner], side, width });
    paint(masks.subarray(start, start + height * width), 1, { corners, side, width });
  }
  return { ...split, images, masks };
}

/**
 * The position of the patch that `addDecoys` adds to each image, which is the same for every cue: (N, H, W), 1 inside.
 * For rrr this equals the mask of `addDecoys`. For cdep that mask covers all four corners, as its authors penalise
 * them, and this one covers only the corner that is used.
 */
export function patchMasks(split: ByteSplit, { variant, seed, name }: Omit<DecoyOptions, "cue">): Uint8Array {
  const [count, , height, width] = split.shape;
  const side = DECOY_SIDE[variant];
  const masks = new Uint8Array(count * height * width);
  for (const { image, corner } of draws("patchMasks", split, { variant, seed, name })) {
    const start = image * height * width;
    paint(masks.subarray(start, start + height * width), 1, { corners: [corner], side, width });
  }
  return masks;
}

/**
 * Draws a corner and a label for each image in turn. Both are drawn for every cue, so that the corners do not depend on
 * the cue.
 */
function* draws(
  operation: string,
  { shape: [count, channels, height, width] }: ByteSplit,
  { variant, seed, name }: Omit<DecoyOptions, "cue">,
): Generator<{ image: number; corner: Corner; drawn: number }> {
  const side = DECOY_SIDE[variant];
  if (channels !== 1 || height < 2 * side || width < 2 * side)
    throw new BatchCamError(
      "E_DATA",
      `${operation}: expected grey images of at least ${2 * side}x${2 * side}, got [${count}, ${channels}, ${height}, ${width}]`,
    );
  const next = randomSource(`decoy-${variant}-${name}`, { seed });
  for (let image = 0; image < count; image++) {
    const [low, right] = [randomBelow(next, 2) === 1, randomBelow(next, 2) === 1];
    const corner = { top: low ? height - side : 0, left: right ? width - side : 0 };
    yield { image, corner, drawn: randomBelow(next, CLASSES) };
  }
}

const trainingGrey = (label: number) => 255 - 25 * label;

/** The grey of a patch; null for images without a patch. */
function greyOf({ variant, cue }: Pick<DecoyOptions, "variant" | "cue">, label: number, drawn: number): number | null {
  if (cue === "none") return null;
  if (cue === "train") return trainingGrey(label);
  if (cue === "opposite") return trainingGrey(CLASSES - 1 - label);
  if (cue === "test" && variant === "cdep") return 25 * label;
  return trainingGrey(drawn);
}

interface Corner {
  top: number;
  left: number;
}

function allCorners(height: number, width: number, side: number): Corner[] {
  return [0, height - side].flatMap((top) => [0, width - side].map((left) => ({ top, left })));
}

function paint(
  pixels: Uint8Array,
  value: number,
  { corners, side, width }: { corners: readonly Corner[]; side: number; width: number },
): void {
  for (const { top, left } of corners)
    for (let row = top; row < top + side; row++) pixels.fill(value, row * width + left, row * width + left + side);
}
