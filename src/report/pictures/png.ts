import { PNG } from "pngjs";
import { type Colormap, colormapTable, level } from "./colormap.ts";
import type { Picture } from "./picture.ts";

/**
 * A picture as a PNG in a data URL, in its own colours or in those of a colour map. Values outside [0, 1] are clamped.
 * Pixels that are not finite become transparent, so that a reader notices them.
 */
export function pngAddress(picture: Picture, colormap?: Colormap): string {
  const { pixels, height, width } = picture;
  const size = height * width;
  const step = pixels.length === 3 * size ? size : 0;
  const table = colormap && colormapTable(colormap);
  const png = new PNG({ width, height });
  for (let pixel = 0; pixel < size; pixel++) {
    let opaque = true;
    for (let channel = 0; channel < 3; channel++) {
      const value = pixels[channel * step + pixel] ?? 0;
      opaque &&= Number.isFinite(value);
      png.data[pixel * 4 + channel] = table ? (table[level(value) * 3 + channel] ?? 0) : level(value);
    }
    png.data[pixel * 4 + 3] = opaque ? 255 : 0;
  }
  return `data:image/png;base64,${PNG.sync.write(png).toString("base64")}`;
}

/** The colour scale from 0 to 1 as a PNG in a data URL, 256 pixels wide and one high. */
export function scaleAddress(colormap: Colormap = "inferno"): string {
  const pixels = Float32Array.from({ length: 256 }, (_, index) => index / 255);
  return pngAddress({ pixels, height: 1, width: 256 }, colormap);
}

/** A PNG file of opaque pixels, with red, green and blue interleaved. */
export function encodePng(rgb: Uint8Array, { width, height }: { width: number; height: number }): Uint8Array {
  const png = new PNG({ width, height });
  png.data = Buffer.from(rgb.buffer, rgb.byteOffset, rgb.length);
  // One filter for all lines: trying all five, which is pngjs's default, takes four times as long and saves little.
  return new Uint8Array(
    PNG.sync.write(png, { colorType: 2, inputColorType: 2, inputHasAlpha: false, filterType: 4, deflateLevel: 6 }),
  );
}
