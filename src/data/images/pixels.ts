/** Decoded samples, row by row, with the bands of each pixel interleaved. */
export interface InterleavedPixels {
  /** 8-bit or 16-bit samples. */
  samples: Uint8Array | Uint16Array;
  /** Number of bands of a pixel: 1 or 3 of colour, then optionally alpha, then optionally others, which are ignored. */
  bands: number;
  alpha: boolean;
  /** Number of pixels. */
  size: number;
  /** The value of white (default: 255 for 8 bits, 65535 for 16 bits). */
  white?: number;
}

/** Colour behind transparent pixels and in margins: red, green and blue, each from 0 to 255. */
export type Background = readonly [number, number, number];

/**
 * Converts interleaved samples to uint8 pixels (C, H, W):
 *
 * - alpha is blended with the background: a·v + (1 − a)·background;
 * - 16-bit samples are scaled by round(255 v / white), so that white stays white;
 * - grey is luma, (19595 R + 38470 G + 7471 B + 2¹⁵) >> 16, with the integers of Pillow's `convert("L")`.
 *
 * @returns the pixels, and whether any of them was not opaque
 */
export function toPlanar(
  source: InterleavedPixels,
  channels: 1 | 3,
  background: Background,
): { pixels: Uint8Array; transparent: boolean } {
  const { samples, bands, alpha: hasAlpha, size } = source;
  if (samples instanceof Uint8Array && !hasAlpha) return { pixels: opaque(source, channels), transparent: false };
  const most = samples instanceof Uint16Array ? 65535 : 255;
  const scale = 255 / (source.white ?? most);
  const colours = bands - (hasAlpha ? 1 : 0) < 3 ? 1 : 3;
  const pixels = new Uint8Array(channels * size);
  const colour: [number, number, number] = [0, 0, 0];
  let transparent = false;
  for (let pixel = 0; pixel < size; pixel++) {
    const at = pixel * bands;
    const alpha = hasAlpha ? (samples[at + colours] as number) / most : 1;
    transparent ||= alpha < 1;
    for (let channel = 0; channel < 3; channel++) {
      const value = (samples[colours === 1 ? at : at + channel] as number) * scale;
      colour[channel] = Math.round(alpha * value + (1 - alpha) * (background[channel] as number));
    }
    if (channels === 1) pixels[pixel] = luma(colour);
    else for (let channel = 0; channel < 3; channel++) pixels[channel * size + pixel] = colour[channel] as number;
  }
  return { pixels, transparent };
}

/** The fast path for 8-bit samples without alpha, which most files have. */
function opaque({ samples, bands, size }: InterleavedPixels, channels: 1 | 3): Uint8Array {
  const pixels = new Uint8Array(channels * size);
  const [green, blue] = bands < 3 ? [0, 0] : [1, 2];
  for (let pixel = 0, at = 0; pixel < size; pixel++, at += bands) {
    const r = samples[at] as number;
    const g = samples[at + green] as number;
    const b = samples[at + blue] as number;
    if (channels === 1) {
      pixels[pixel] = luma([r, g, b]);
    } else {
      pixels[pixel] = r;
      pixels[size + pixel] = g;
      pixels[2 * size + pixel] = b;
    }
  }
  return pixels;
}

/** How many of their 16 bits the samples use. */
export interface SampleDepth {
  /** The smallest of 8, 10, 12, 14 and 16 bits that holds the largest sample. */
  bits: number;
  /** Whether any of the lowest four bits are set, as in 12-bit samples that were not scaled to 16 bits. */
  finest: boolean;
}

export function depthOf(samples: Uint16Array): SampleDepth {
  let [most, low] = [0, 0];
  for (let i = 0; i < samples.length; i++) {
    const value = samples[i] as number;
    if (value > most) most = value;
    low |= value & 15;
  }
  return { bits: [8, 10, 12, 14].find((bits) => most < 2 ** bits) ?? 16, finest: low !== 0 };
}

export function luma([red, green, blue]: Background): number {
  return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
}
