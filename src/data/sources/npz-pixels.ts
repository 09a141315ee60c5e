import { counted } from "../../counted.ts";
import type { NpyDtype, NpyValues } from "../../io/internal.ts";

/** The size of `count` images, and whether the array is in Fortran order, in which the first index varies fastest. */
export interface PixelLayout {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly fortranOrder: boolean;
}

/** How pixel values are converted to 0 to 255: round(scale · value). */
export interface PixelScale {
  readonly scale: number;
  /** A note to the user about the conversion; absent if the values are bytes already. */
  readonly note?: string;
}

const DEPTHS = [8, 10, 12, 14, 16];

/**
 * Decides how to scale the pixel values of a data set, by their dtype and the smallest and largest value of all splits
 * together:
 *
 * - bool: false is black and true is white;
 * - integers: the range is 0 to 2^b − 1, where b is the smallest of 8, 10, 12, 14 and 16 bits that holds the largest
 *   value;
 * - floats: the range is [0, 1] if all values are in it, otherwise [0, 255].
 *
 * @returns the scale, or a string that describes the problem if values are outside these ranges
 */
export function pixelScale({ name, kind }: NpyDtype, parts: readonly NpyValues[]): PixelScale | string {
  const [least, most] = rangeOf(parts);
  if (kind === "b") return { scale: 255, note: "images are bool: true is read as 255" };
  if (!(least >= 0) || !Number.isFinite(most)) {
    const got = Number.isFinite(least) && Number.isFinite(most) ? `values from ${least} to ${most}` : "NaN or infinity";
    return `must have pixel values of at least 0, without normalisation, got ${got}`;
  }
  if (kind === "f") {
    if (most > 255) return `must have floats in [0, 1] or [0, 255], got values up to ${most}`;
    const range = most <= 1 ? "[0, 1]" : "[0, 255]";
    return { scale: most <= 1 ? 255 : 1, note: `images are of ${name} in ${range}: they are rounded to 8 bits` };
  }
  const bits = DEPTHS.find((depth) => most < 2 ** depth);
  if (bits === undefined) return `must have whole numbers of at most 16 bits, got values up to ${most}`;
  if (bits > 8) {
    const end = 2 ** bits - 1;
    return { scale: 255 / end, note: `images reach ${most}, read as ${counted(bits, "bit")}: ${end} becomes 255` };
  }
  if (most <= 1) return { scale: 1, note: `images reach ${most} of 255: if 1 is meant to be white, save them as bool` };
  return { scale: 1 };
}

function rangeOf(parts: readonly NpyValues[]): [least: number, most: number] {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const values of parts)
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      if (value < least) least = value;
      if (value > most) most = value;
      if (Number.isNaN(value)) return [Number.NaN, Number.NaN];
    }
  return [least, most];
}

/** Converts the values to bytes in the order (N, C, H, W). */
export function planarBytes(values: NpyValues, layout: PixelLayout, scale: number): Uint8Array {
  const { count, height, width, channels, fortranOrder } = layout;
  if (values instanceof Uint8Array && scale === 1 && channels === 1 && !fortranOrder) return values;
  const [ofN, ofH, ofW, ofC] = fortranOrder
    ? [1, count, count * height, count * height * width]
    : [height * width * channels, width * channels, channels, 1];
  const bytes = new Uint8Array(values.length);
  let at = 0;
  for (let n = 0; n < count; n++)
    for (let c = 0; c < channels; c++)
      for (let h = 0; h < height; h++) {
        const row = n * ofN + c * ofC + h * ofH;
        for (let w = 0; w < width; w++) bytes[at++] = Math.round(scale * (values[row + w * ofW] as number));
      }
  return bytes;
}
