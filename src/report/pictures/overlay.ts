import { BatchCamError } from "../../errors.ts";
import { type Colormap, colormapTable, level } from "./colormap.ts";
import { channelsOf, expectMap, type Picture } from "./picture.ts";

/** Settings of `overlay`. */
export interface OverlayOptions {
  height: number;
  width: number;
  /** Opacity of the colour at pixels where the map is 1, in [0, 1] (default: 0.7). */
  strength?: number;
  /** Default: "inferno". */
  colormap?: Colormap;
}

/**
 * Draws a map over an image: `(1 − s·m)·image + s·m·colour(m)`, so that the image does not change at pixels where the
 * map is 0.
 *
 * @param image grey `(H, W)` or colour `(3, H, W)`, in [0, 1]; values outside are clamped
 * @param map `(H, W)` in [0, 1]
 * @returns colour `(3, H, W)` in [0, 1]
 * @throws E_SHAPE if image or map do not have H × W values, E_ARGUMENT if strength is not in [0, 1]
 */
export function overlay(image: Float32Array, map: Float32Array, options: OverlayOptions): Float32Array {
  const { height, width, strength = 0.7, colormap = "inferno" } = options;
  expectShare("overlay: strength", strength);
  const mixed = mixer("overlay", image, map, { height, width });
  return mixed(colormapTable(colormap), (base, colour, entry) => base + ((strength * entry) / 255) * (colour - base));
}

/** Settings of `classicOverlay`. */
export interface ClassicOverlayOptions {
  height: number;
  width: number;
  /** Share of the image in the sum, in [0, 1] (default: 0.5). */
  imageWeight?: number;
  /** Default: "jet". */
  colormap?: Colormap;
}

/**
 * The picture of pytorch-grad-cam's `show_cam_on_image`: `v = w·image + (1 − w)·colour(m)` everywhere, divided by its largest value.
 * Unlike `overlay`, it also tints the pixels where the map is 0.
 *
 * Parameters, result and errors are those of `overlay`.
 */
export function classicOverlay(image: Float32Array, map: Float32Array, options: ClassicOverlayOptions): Float32Array {
  const { height, width, imageWeight = 0.5, colormap = "jet" } = options;
  expectShare("classicOverlay: imageWeight", imageWeight);
  const mixed = mixer("classicOverlay", image, map, { height, width });
  const sum = mixed(colormapTable(colormap), (base, colour) => imageWeight * base + (1 - imageWeight) * colour);
  const largest = sum.reduce((most, value) => Math.max(most, value), 0);
  return largest > 0 ? sum.map((value) => value / largest) : sum;
}

type Mix = (base: number, colour: number, entry: number) => number;

function mixer(operation: string, image: Float32Array, map: Float32Array, box: Pick<Picture, "height" | "width">) {
  const channels = channelsOf({ pixels: image, ...box }, `${operation}: image`);
  expectMap({ pixels: map, ...box }, `${operation}: map`);
  const size = box.height * box.width;
  return (table: Uint8Array, mix: Mix): Float32Array => {
    const mixed = new Float32Array(3 * size);
    for (let pixel = 0; pixel < size; pixel++) {
      const entry = level(map[pixel] ?? 0);
      for (let channel = 0; channel < 3; channel++) {
        const base = clamp(image[channels === 3 ? channel * size + pixel : pixel] ?? 0);
        mixed[channel * size + pixel] = clamp(mix(base, (table[entry * 3 + channel] ?? 0) / 255, entry));
      }
    }
    return mixed;
  };
}

function expectShare(place: string, value: number): void {
  if (value >= 0 && value <= 1) return;
  throw new BatchCamError("E_ARGUMENT", `${place} must be a number from 0 to 1, got ${value}`);
}

function clamp(value: number): number {
  return value > 0 ? Math.min(1, value) : 0;
}
