import { expectInteger } from "../../arguments.ts";
import { markup } from "../page/markup.ts";
import { colormapTable, level } from "../pictures/colormap.ts";
import { isDead, type Picture } from "../pictures/picture.ts";
import { encodePng } from "../pictures/png.ts";
import { INK, place, stack, textBlock } from "./block.ts";
import {
  checkExplained,
  colormapOf,
  isWrong,
  type MapStyle,
  mapOver,
  type Verdict,
  verdictParts,
} from "./explained-image.ts";
import { rasterPixels } from "./raster.ts";

/** The input of `explanationPicture`. */
export interface ExplanationPictureInput extends Picture, Verdict, MapStyle {
  /** `(H, W)` in [0, 1], of the image's size. */
  map: Float32Array;
  /** Whether a strip below the picture has prediction, confidence and name (default: false). */
  caption?: boolean;
  /** An image whose longer side has fewer pixels is enlarged by a whole number, so that each pixel becomes a square (default: 224; 1 enlarges nothing). */
  minSide?: number;
}

interface Canvas {
  rgb: Uint8Array;
  width: number;
  height: number;
}

/**
 * One map over one image at the image's own resolution, as a PNG. Small images are enlarged by the largest whole number that keeps them
 * within `minSide`. A dead map is crossed out.
 *
 * @throws E_SHAPE if the pixels do not fill their size, and E_ARGUMENT if a number is out of its range
 */
export function explanationPicture(input: ExplanationPictureInput): Uint8Array {
  checkExplained("explanationPicture: image", input, { map: input.map });
  const { minSide = 224 } = input;
  expectInteger("explanationPicture: minSide", minSide, 1, 4096);
  const factor = Math.max(1, Math.floor(minSide / Math.max(input.height, input.width)));
  const [width, height] = [factor * input.width, factor * input.height];
  const strip = input.caption ? captionStrip(input, width) : new Uint8Array(0);
  const rgb = new Uint8Array(3 * width * height + strip.length);
  drawEnlarged({ rgb, width, height }, colours(input), factor);
  if (isDead(input.map)) crossOut({ rgb, width, height });
  rgb.set(strip, 3 * width * height);
  return encodePng(rgb, { width, height: rgb.length / 3 / width });
}

/** A function from the index of a pixel and a channel to a value from 0 to 255. */
function colours(input: ExplanationPictureInput): (pixel: number, channel: number) => number {
  const size = input.height * input.width;
  if (input.style === "map") {
    const table = colormapTable(colormapOf(input));
    return (pixel, channel) => table[level(input.map[pixel] ?? 0) * 3 + channel] ?? 0;
  }
  const mixed = mapOver(input, input.map, input);
  return (pixel, channel) => level(mixed[channel * size + pixel] ?? 0);
}

function drawEnlarged(
  { rgb, width, height }: Canvas,
  colour: (pixel: number, channel: number) => number,
  factor: number,
): void {
  const columns = width / factor;
  for (let y = 0; y < height; y++) {
    const at = 3 * y * width;
    if (y % factor > 0) {
      rgb.copyWithin(at, at - 3 * width, at);
      continue;
    }
    for (let x = 0; x < width; x++) {
      const pixel = (y / factor) * columns + Math.floor(x / factor);
      for (let channel = 0; channel < 3; channel++) rgb[at + 3 * x + channel] = colour(pixel, channel);
    }
  }
}

/** Draws a half-transparent white cross from corner to corner, like that of the figures. */
function crossOut({ rgb, width, height }: Canvas): void {
  const half = Math.max(0.75, Math.hypot(width, height) / 400);
  const length = Math.hypot(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const distances = [x + 0.5, width - x - 0.5].map((side) => Math.abs(side * height - (y + 0.5) * width) / length);
      if (Math.min(...distances) > half) continue;
      for (let channel = 0; channel < 3; channel++) {
        const at = 3 * (y * width + x) + channel;
        rgb[at] = Math.round(0.45 * (rgb[at] ?? 0) + 0.55 * 255);
      }
    }
  }
}

/** The strip below a picture, as wide as the picture: prediction and confidence, remarks, and the name. */
function captionStrip(input: ExplanationPictureInput, width: number): Uint8Array {
  const size = Math.min(40, Math.max(11, width / 24));
  const margin = Math.round(size * 0.6);
  const { named, confidence, remark } = verdictParts(input);
  const remarks = [remark, isDead(input.map) ? "dead map" : ""].filter(Boolean).join(", ");
  const room = { width: Math.max(1, width - 2 * margin), minSize: size * 0.7 };
  const colour = isWrong(input) ? INK.warning : INK.text;
  const text = stack(
    [
      textBlock(`${named} \u00a0${confidence}`.trim(), { ...room, size, lines: 3, bold: true, colour }),
      textBlock(remarks, { ...room, size: size * 0.85, lines: 2, colour }),
      textBlock(input.name ?? "", { ...room, size: size * 0.85, lines: 2, colour: INK.soft }),
    ],
    size * 0.3,
  );
  if (text.height === 0) return new Uint8Array(0);
  const height = Math.ceil(text.height + 2 * margin);
  const svg = markup`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="DejaVu Sans">${place(text, margin, margin)}</svg>`;
  return rasterPixels(svg.text).rgba.filter((_, index) => index % 4 !== 3);
}
