import { type Background, luma } from "./pixels.ts";

/** How an image is fitted to a given size: "cover" crops it, "contain" adds margins, and "fill" distorts it. */
export type ImageFit = "cover" | "contain" | "fill";
export const IMAGE_FITS: readonly ImageFit[] = ["cover", "contain", "fill"];

type Size = readonly [height: number, width: number];

/**
 * The size to which an image is resized before it is cropped or padded to `size`. For "cover" it is the smallest size
 * with the proportions of the image that covers `size`; its longer side is rounded down, as in torchvision's `Resize`.
 * For "contain" it is the largest size that fits, rounded to the nearest integer.
 */
export function innerSize(own: { height: number; width: number }, [height, width]: Size, fit: ImageFit): Size {
  if (fit === "fill") return [height, width];
  const wider = own.width * height > own.height * width;
  if (fit === "cover")
    return wider
      ? [height, Math.max(width, Math.floor((own.width * height) / own.height))]
      : [Math.max(height, Math.floor((own.height * width) / own.width)), width];
  const side = (length: number, other: number, most: number) => Math.max(1, Math.round((length * most) / other));
  return wider ? [side(own.height, own.width, width), width] : [height, side(own.width, own.height, height)];
}

/**
 * Crops an image evenly on both sides along the dimensions in which it is larger than the size, and pads it with the background along
 * those in which it is smaller.
 */
export function cropOrPad(image: PlanarImage, [height, width]: Size, background: Background): PlanarImage {
  if (image.height === height && image.width === width) return image;
  const channels = image.pixels.length / (image.height * image.width);
  const fill = channels === 1 ? [luma(background)] : background;
  const pixels = new Uint8Array(channels * height * width);
  const [top, left] = [offset(image.height, height), offset(image.width, width)]; // position of the result's corner in the image
  const [rows, columns] = [Math.min(height, image.height), Math.min(width, image.width)];
  for (let channel = 0; channel < channels; channel++) {
    pixels.fill(fill[channel] as number, channel * height * width, (channel + 1) * height * width);
    for (let row = 0; row < rows; row++) {
      const from = (channel * image.height + row + Math.max(0, top)) * image.width + Math.max(0, left);
      const to = (channel * height + row + Math.max(0, -top)) * width + Math.max(0, -left);
      pixels.set(image.pixels.subarray(from, from + columns), to);
    }
  }
  return { pixels, height, width };
}

/**
 * Half of the difference between the sides. If the difference is odd, a crop rounds half to even, as torchvision's
 * `center_crop` does, and a margin puts the extra pixel below or to the right.
 */
function offset(own: number, wanted: number): number {
  const half = (own - wanted) / 2;
  if (half < 0) return Math.ceil(half);
  const whole = Math.floor(half);
  return half === whole ? whole : whole + (whole % 2);
}

/** A uint8 image with one plane for each channel, (C, H, W). */
export interface PlanarImage {
  readonly pixels: Uint8Array;
  readonly height: number;
  readonly width: number;
}

/**
 * A resampling filter: for each sample of the result, the index of the first source sample with a weight, and the
 * weights from there on.
 */
interface Filter {
  readonly starts: Int32Array;
  readonly weights: readonly Float32Array[];
}

/**
 * Resizes bilinearly with antialiasing, as torchvision's `resize(antialias=True)` and Pillow do. Sample i of n is at
 * position c = (i + ½)·s among the m source samples, with s = m/n. Source sample k, whose centre is k + ½, has the
 * weight max(0, 1 − |k + ½ − c| / max(1, s)), and the weights are divided by their sum. Halves are rounded up.
 */
export function resizeBilinear(image: PlanarImage, [height, width]: readonly [number, number]): PlanarImage {
  if (image.height === height && image.width === width) return image;
  const channels = image.pixels.length / (image.height * image.width);
  const rows = resizeRows(image, triangle(image.width, width));
  const { starts, weights } = triangle(image.height, height);
  const pixels = new Uint8Array(channels * height * width);
  const sums = new Float32Array(width);
  for (let row = 0; row < channels * height; row++) {
    const own = weights[row % height] as Float32Array;
    const first = Math.floor(row / height) * image.height + (starts[row % height] as number);
    sums.fill(0.5); // rounds to the nearest integer, because assignment to a byte truncates
    for (let k = 0; k < own.length; k++) {
      const [weight, from] = [own[k] as number, (first + k) * width];
      for (let x = 0; x < width; x++) sums[x] = (sums[x] as number) + weight * (rows[from + x] as number);
    }
    pixels.set(sums, row * width);
  }
  return { pixels, height, width };
}

/** Resizes every row of every channel to the new width. */
function resizeRows({ pixels, width }: PlanarImage, { starts, weights }: Filter): Float32Array {
  const count = pixels.length / width;
  const rows = new Float32Array(count * weights.length);
  for (let row = 0, at = 0; row < count; row++)
    for (let x = 0; x < weights.length; x++) {
      const own = weights[x] as Float32Array;
      const from = row * width + (starts[x] as number);
      let sum = 0;
      for (let k = 0; k < own.length; k++) sum += (own[k] as number) * (pixels[from + k] as number);
      rows[at++] = sum;
    }
  return rows;
}

function triangle(from: number, to: number): Filter {
  const scale = from / to;
  const reach = Math.max(1, scale);
  const starts = new Int32Array(to);
  const weights = Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale;
    // The same bounds as in Pillow's precompute_coeffs, which torch uses too.
    const start = Math.max(0, Math.floor(center - reach + 0.5));
    const end = Math.min(from, Math.floor(center + reach + 0.5));
    starts[i] = start;
    const own = Array.from({ length: end - start }, (_, k) =>
      Math.max(0, 1 - Math.abs(start + k + 0.5 - center) / reach),
    );
    const sum = own.reduce((total, weight) => total + weight, 0);
    return Float32Array.from(own, (weight) => weight / sum);
  });
  return { starts, weights };
}
