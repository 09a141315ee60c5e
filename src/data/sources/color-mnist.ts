import { BatchCamError } from "../../errors.ts";
import { type RandomSource, randomBelow, randomSource } from "../batches/random.ts";
import type { ByteSplit } from "./idx.ts";

/**
 * The colour that an image is painted in:
 *
 * - "train": the colour of its own class y;
 * - "test": the colour of class 9 − y, as the recipe tests;
 * - "random": the colour of a class drawn uniformly from all ten;
 * - "none": grey in all three channels, which is brighter than every class's colour.
 */
export type ColorCue = "train" | "test" | "random" | "none";

/**
 * Options of the "random" cue. The colours depend only on these and on the position of the image in the split, on every
 * machine.
 */
export interface ColorOptions {
  /** Default 0. */
  seed?: number;
  /** Name of the split (default "test"). */
  name?: string;
}

const CLASSES = 10;

/** Hue, saturation and lightness, each in [0, 1]. */
type Hsl = readonly [number, number, number];
const RED: Hsl = [0, 1, 0.5];
const PURPLE: Hsl = [5 / 6, 1, 64 / 255];
const WHITE = [1, 1, 1] as const;

/** The ten class colours as (R, G, B) in [0, 1]: equal steps of hue, saturation and lightness from CSS's red to its purple. */
export const CLASS_COLORS: readonly (readonly [number, number, number])[] = Array.from({ length: CLASSES }, (_, i) => {
  const at = (axis: 0 | 1 | 2) => RED[axis] + ((PURPLE[axis] - RED[axis]) * i) / (CLASSES - 1);
  return rgb([at(0), at(1), at(2)]);
});

/**
 * ColorMNIST (Rieger et al., arXiv 1909.13584). Training images are painted in the colour of their class y, and test
 * images in the colour of class 9 − y, so that a model that learned colours is wrong on them. Each pixel is grey ·
 * colour, rounded to an integer.
 */
export function colorClasses(split: ByteSplit, cue: ColorCue, options: ColorOptions = {}): ByteSplit {
  const { seed = 0, name = "test" } = options;
  const [count, channels, height, width] = split.shape;
  if (channels !== 1) throw new BatchCamError("E_DATA", `colorClasses: expected grey images, got [${split.shape}]`);
  const pixels = height * width;
  const images = new Uint8Array(count * 3 * pixels);
  const table = [...CLASS_COLORS, WHITE].map((color) =>
    color.map((share) => Uint8Array.from({ length: 256 }, (_, grey) => Math.round(grey * share))),
  );
  const next = randomSource(`color-${name}`, { seed });
  for (let image = 0; image < count; image++) {
    const color = table[colorOf(cue, split.labels[image] as number, next)] as Uint8Array[];
    const grey = split.images.subarray(image * pixels, (image + 1) * pixels);
    for (const [channel, shades] of color.entries()) {
      const to = (image * 3 + channel) * pixels;
      for (let i = 0; i < pixels; i++) images[to + i] = shades[grey[i] as number] as number;
    }
  }
  return { ...split, shape: [count, 3, height, width], images };
}

/** Index into the table of colours. The entry after the ten classes is white. */
function colorOf(cue: ColorCue, label: number, next: RandomSource): number {
  if (cue === "none") return CLASSES;
  if (cue === "random") return randomBelow(next, CLASSES);
  return cue === "train" ? label : CLASSES - 1 - label;
}

function rgb([hue, saturation, lightness]: Hsl): readonly [number, number, number] {
  const chroma = saturation * Math.min(lightness, 1 - lightness);
  const channel = (offset: number) => {
    const place = (offset + hue * 12) % 12;
    return lightness - chroma * Math.max(-1, Math.min(place - 3, 9 - place, 1));
  };
  return [channel(0), channel(8), channel(4)];
}
