import { BatchCamError } from "../errors.ts";
import type { ByteSplit } from "./idx-splits.ts";

/** Which colour an image has: that of its class, or that of class 9 − y, with which the recipe tests. */
export type ColorCue = "train" | "test";

const CLASSES = 10;

/** Hue, saturation and lightness, 0 to 1. */
type Hsl = readonly [number, number, number];
const RED: Hsl = [0, 1, 0.5];
const PURPLE: Hsl = [5 / 6, 1, 64 / 255];

/** Ten colours, (R, G, B) in [0, 1]: equal steps of hue, saturation and lightness from red to purple, as CSS names them. */
export const CLASS_COLORS: readonly (readonly [number, number, number])[] = Array.from({ length: CLASSES }, (_, i) => {
  const at = (axis: 0 | 1 | 2) => RED[axis] + ((PURPLE[axis] - RED[axis]) * i) / (CLASSES - 1);
  return rgb([at(0), at(1), at(2)]);
});

/**
 * ColorMNIST (Rieger et al., arXiv 1909.13584): grey images painted in their class's colour in training, and in that of
 * class 9 − y in the test, so that who learned colours is wrong there. grey · colour, rounded to whole bytes.
 */
export function colorClasses(split: ByteSplit, cue: ColorCue): ByteSplit {
  const [count, channels, height, width] = split.shape;
  if (channels !== 1) throw new BatchCamError("E_DATA", `colorClasses: expected grey images, got [${split.shape}]`);
  const pixels = height * width;
  const images = new Uint8Array(count * 3 * pixels);
  const table = CLASS_COLORS.map((color) =>
    color.map((share) => Uint8Array.from({ length: 256 }, (_, grey) => Math.round(grey * share))),
  );
  for (let image = 0; image < count; image++) {
    const label = split.labels[image] as number;
    const color = table[cue === "train" ? label : CLASSES - 1 - label] as Uint8Array[];
    const grey = split.images.subarray(image * pixels, (image + 1) * pixels);
    for (const [channel, shades] of color.entries()) {
      const to = (image * 3 + channel) * pixels;
      for (let i = 0; i < pixels; i++) images[to + i] = shades[grey[i] as number] as number;
    }
  }
  return { ...split, shape: [count, 3, height, width], images };
}

function rgb([hue, saturation, lightness]: Hsl): readonly [number, number, number] {
  const chroma = saturation * Math.min(lightness, 1 - lightness);
  const channel = (offset: number) => {
    const place = (offset + hue * 12) % 12;
    return lightness - chroma * Math.max(-1, Math.min(place - 3, 9 - place, 1));
  };
  return [channel(0), channel(8), channel(4)];
}
