import { type Background, luma } from "./image-pixels.ts";
import type { PlanarImage } from "./resize.ts";

/** How an image comes to a given size. */
export type ImageFit = "cover" | "contain" | "fill";
export const IMAGE_FITS: readonly ImageFit[] = ["cover", "contain", "fill"];

type Size = readonly [height: number, width: number];

/**
 * The size to which an image is resized before it is cropped or padded to `size`: for "cover" the smallest of its own proportions that
 * covers it, the longer side cut to whole pixels as torchvision's `Resize` does; for "contain" the largest that fits in, rounded.
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

/** Cuts what stands over evenly, and fills margins with the background. */
export function cropOrPad(image: PlanarImage, [height, width]: Size, background: Background): PlanarImage {
  if (image.height === height && image.width === width) return image;
  const channels = image.pixels.length / (image.height * image.width);
  const fill = channels === 1 ? [luma(background)] : background;
  const pixels = new Uint8Array(channels * height * width);
  const [top, left] = [offset(image.height, height), offset(image.width, width)]; // of the result in the image
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

/** Half the difference; a crop's half pixel goes to the even number, as in torchvision's `center_crop`, a margin's below or right. */
function offset(own: number, wanted: number): number {
  const half = (own - wanted) / 2;
  if (half < 0) return Math.ceil(half);
  const whole = Math.floor(half);
  return half === whole ? whole : whole + (whole % 2);
}
