import { BatchCamError } from "../../errors.ts";
import { randomBelow, randomSource } from "../batches/random.ts";
import type { ByteSplit } from "./idx.ts";

/**
 * Two published recipes for a patch in a corner that tells the class in training and misleads in the test:
 * - "rrr" (Ross et al., arXiv 1703.03717): 4x4, each of row and column by a fair coin; grey 255 − 25·label in training, and
 *   in the test that of a label drawn evenly from all ten, whatever the image's own;
 * - "cdep" (Rieger et al., arXiv 1909.13584): 5x5; grey 255 − 25·label in training, 25·label in the test, which is close
 *   to the training grey of label 10 − y. The mask that its authors penalise holds all four corners.
 */
export type DecoyVariant = "rrr" | "cdep";
export const DECOY_VARIANTS = ["rrr", "cdep"] as const satisfies DecoyVariant[];

/**
 * Which grey the patches have, of the training grey g(y) = 255 − 25·y:
 * - "train": g of the image's own label y;
 * - "test": what the recipe tests with. For rrr that is "random", to the byte. For cdep it is 25·y, which is no training grey but
 *   g(10 − y) − 5: as good as a wrong class's for most labels, the own class's for y = 5, and black for y = 0;
 * - "random": g of a label drawn evenly from all ten;
 * - "opposite": g(9 − y), a class's own grey to the byte, and never the right class's;
 * - "none": no patch.
 */
export type DecoyCue = "train" | "test" | "random" | "opposite" | "none";

export interface DecoyOptions {
  variant: DecoyVariant;
  cue: DecoyCue;
  /** The patches are a function of it, of the split's name and of the image's place in the split, on every machine. */
  seed: number;
  /** Which split it is: "train" and "test" have streams of their own. */
  name: string;
}

/** A split with patches, and what is patch: (N, H, W), 1 inside. */
export interface DecoyedSplit extends ByteSplit {
  masks: Uint8Array;
}

/** Side of a recipe's patch, in pixels. */
export const DECOY_SIDE = { rrr: 4, cdep: 5 } as const satisfies Record<DecoyVariant, number>;
const CLASSES = 10;

/** A copy of a split of ten classes with a patch in a corner of each image. */
export function addDecoys(split: ByteSplit, { variant, cue, seed, name }: DecoyOptions): DecoyedSplit {
  const [count, , height, width] = split.shape;
  const side = DECOY_SIDE[variant];
  const images = new Uint8Array(split.images); // a Buffer's slice() would be no copy
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
 * Where `addDecoys` puts the patch of each image, whatever its cue: (N, H, W), 1 inside. For rrr that is the mask that `addDecoys`
 * gives; cdep's authors penalise all four corners, of which this is the one that is used.
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

/** What is drawn for each image in turn: its corner, and a label. All of it for any cue, so that corners do not depend on the cue. */
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

/** Null for no patch. */
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
