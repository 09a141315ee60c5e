import { BatchCamError } from "../errors.ts";
import type { ByteSplit } from "./idx-splits.ts";
import { type RandomSource, randomBelow, randomSource } from "./random.ts";

/**
 * Two published recipes for a patch in a corner that tells the class in training and misleads in the test:
 * - "rrr" (Ross et al., arXiv 1703.03717): 4x4, each of row and column by a fair coin; grey 255 − 25·label in training, and
 *   in the test that of a label drawn evenly from all ten, whatever the image's own;
 * - "cdep" (Rieger et al., arXiv 1909.13584): 5x5; grey 255 − 25·label in training, 25·label in the test, which is close
 *   to the training grey of label 10 − y. The mask that its authors penalise holds all four corners.
 */
export type DecoyVariant = "rrr" | "cdep";
export const DECOY_VARIANTS = ["rrr", "cdep"] as const satisfies DecoyVariant[];

/** Which grey the patches have: what the recipe trains with, what it tests with, or that of a random label. */
export type DecoyCue = "train" | "test" | "random";

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

const SIDE = { rrr: 4, cdep: 5 } as const;
const CLASSES = 10;

/** A copy of a split of ten classes with a patch in a corner of each image. */
export function addDecoys(split: ByteSplit, { variant, cue, seed, name }: DecoyOptions): DecoyedSplit {
  const [count, channels, height, width] = split.shape;
  const side = SIDE[variant];
  if (channels !== 1 || height < 2 * side || width < 2 * side)
    throw new BatchCamError(
      "E_DATA",
      `addDecoys: expected grey images of at least ${2 * side}x${2 * side}, got [${split.shape}]`,
    );
  const images = split.images.slice();
  const masks = new Uint8Array(count * height * width);
  const next = randomSource(`decoy-${variant}-${name}`, { seed });
  for (let image = 0; image < count; image++) {
    const [low, right] = [randomBelow(next, 2) === 1, randomBelow(next, 2) === 1];
    const grey = greyOf({ variant, cue }, split.labels[image] as number, next);
    const corner = { top: low ? height - side : 0, left: right ? width - side : 0 };
    const start = image * height * width;
    const corners = variant === "cdep" ? allCorners(height, width, side) : [corner];
    paint(images.subarray(start, start + height * width), grey, { corners: [corner], side, width });
    paint(masks.subarray(start, start + height * width), 1, { corners, side, width });
  }
  return { ...split, images, masks };
}

function greyOf({ variant, cue }: Pick<DecoyOptions, "variant" | "cue">, label: number, next: RandomSource): number {
  // Drawn always, so that the corners of an image do not depend on the cue.
  const drawn = randomBelow(next, CLASSES);
  if (cue === "train") return 255 - 25 * label;
  if (cue === "test" && variant === "cdep") return 25 * label;
  return 255 - 25 * drawn;
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
