import { BatchCamError } from "../errors.ts";
import { channelsOf, expectMap } from "./picture.ts";

// Every fifth entry of matplotlib's inferno (CC0), which is perceptually uniform: equal steps look equal, in grey too.
const POINTS =
  "0000040202" +
  "0c0504170a072210092d160b391e0c45260c512f0a5b380962400a67490b6a510e6c59106e61136e69166e71196e781c6d801f6c88226a902568" +
  "982766a02a63a82e5fb0315bb73557bf3952c63d4dcc4248d34743d94d3ddf5337e45a31e9612bed6925f1711ff47918f78212f98b0bfa9407fb" +
  "9d07fca60cfcb014fbba1ffac42af8cd37f6d746f4e156f2ea69f2f27df5f992fcffa4";
const STEP = 5;

/**
 * The inferno colour table: 256 rows of red, green, blue in 0..255, dark for 0 and bright for 1.
 * Interpolated linearly between 52 exact entries; no channel is off by more than 1/255 from matplotlib's table.
 */
export const INFERNO: Uint8Array = expand(POINTS);

function expand(points: string): Uint8Array {
  const table = new Uint8Array(256 * 3);
  const point = (index: number, channel: number) => {
    const at = index * 6 + channel * 2;
    return Number.parseInt(points.slice(at, at + 2), 16);
  };
  for (let entry = 0; entry < 256; entry++) {
    const below = Math.min(Math.floor(entry / STEP), 50);
    const part = (entry - below * STEP) / STEP;
    for (let channel = 0; channel < 3; channel++) {
      const low = point(below, channel);
      table[entry * 3 + channel] = Math.round(low + part * (point(below + 1, channel) - low));
    }
  }
  return table;
}

/** A value in [0, 1] as a level in 0..255, the row of `INFERNO` to draw it with; values outside are clamped, NaN is 0. */
export function level(value: number): number {
  return value > 0 ? Math.min(255, Math.round(value * 255)) : 0;
}

/** Settings of `overlay`. */
export interface OverlayOptions {
  height: number;
  width: number;
  /** Opacity of the colour where the map is 1, in [0, 1]. */
  strength?: number;
}

/**
 * Lays a map over an image: `(1 − s·m)·image + s·m·inferno(m)`, so that the image stays untouched where the map is 0.
 *
 * @param image grey `(H, W)` or colour `(3, H, W)`, in [0, 1]; values outside are clamped
 * @param map `(H, W)` in [0, 1]
 * @returns colour `(3, H, W)` in [0, 1]
 * @throws E_SHAPE where image or map do not hold H × W values, E_ARGUMENT where strength is not in [0, 1]
 */
export function overlay(image: Float32Array, map: Float32Array, options: OverlayOptions): Float32Array {
  const { height, width, strength = 0.7 } = options;
  if (!(strength >= 0 && strength <= 1)) {
    throw new BatchCamError("E_ARGUMENT", `overlay: strength must be a number from 0 to 1, got ${strength}`);
  }
  const channels = channelsOf({ pixels: image, height, width }, "overlay: image");
  expectMap({ pixels: map, height, width }, "overlay: map");
  const size = height * width;
  const mixed = new Float32Array(3 * size);
  for (let pixel = 0; pixel < size; pixel++) {
    const entry = level(map[pixel] ?? 0);
    const opacity = (strength * entry) / 255;
    for (let channel = 0; channel < 3; channel++) {
      const base = clamp(image[channels === 3 ? channel * size + pixel : pixel] ?? 0);
      const colour = (INFERNO[entry * 3 + channel] ?? 0) / 255;
      mixed[channel * size + pixel] = clamp(base + opacity * (colour - base));
    }
  }
  return mixed;
}

function clamp(value: number): number {
  return value > 0 ? Math.min(1, value) : 0;
}
