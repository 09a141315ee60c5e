import { BatchCamError } from "../../errors.ts";
import { type RandomSource, randomBelow, randomSource } from "../batches/random.ts";
import type { ByteSplit } from "./idx.ts";

/**
 * Which colour an image has: that of its class ("train"); that of class 9 − y, with which the recipe tests ("test"); that of a class
 * drawn evenly from all ten ("random"); or none, the grey in all three channels, as bright as no class's colour is.
 */
export type ColorCue = "train" | "test" | "random" | "none";

/** What "random" draws by: its colours are a function of both and of the image's place in the split, on every machine. */
export interface ColorOptions {
  /** 0 */
  seed?: number;
  /** Which split it is: "test". */
  name?: string;
}

const CLASSES = 10;

/** Hue, saturation and lightness, 0 to 1. */
type Hsl = readonly [number, number, number];
const RED: Hsl = [0, 1, 0.5];
const PURPLE: Hsl = [5 / 6, 1, 64 / 255];
const WHITE = [1, 1, 1] as const;

/** Ten colours, (R, G, B) in [0, 1]: equal steps of hue, saturation and lightness from red to purple, as CSS names them. */
export const CLASS_COLORS: readonly (readonly [number, number, number])[] = Array.from({ length: CLASSES }, (_, i) => {
  const at = (axis: 0 | 1 | 2) => RED[axis] + ((PURPLE[axis] - RED[axis]) * i) / (CLASSES - 1);
  return rgb([at(0), at(1), at(2)]);
});

/**
 * ColorMNIST (Rieger et al., arXiv 1909.13584): grey images painted in their class's colour in training, and in that of
 * class 9 − y in the test, so that who learned colours is wrong there. grey · colour, rounded to whole bytes.
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

/** Place in the table of colours, of which the one behind the classes' is white. */
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
