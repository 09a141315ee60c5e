/** Samples as a decoder gives them: rows of pixels whose grey, or red, green, blue and then perhaps alpha lie side by side. */
export interface InterleavedPixels {
  /** 0 to 255, or 0 to 65535. */
  samples: Uint8Array | Uint16Array;
  /** Grey, RGB or RGBA. */
  bands: 1 | 3 | 4;
  size: number;
}

/** Colour that shows through transparent pixels and fills margins, red, green and blue from 0 to 255. */
export type Background = readonly [number, number, number];

/**
 * Pixels with their channels apart, `(C, H, W)`, uint8:
 * alpha is laid on the background, `a·v + (1 − a)·background`; 16 bits become 8 by `round(v / 257)`, so that white stays
 * white; grey is luma, `(19595 R + 38470 G + 7471 B + 2¹⁵) >> 16`, the integers of Pillow's `convert("L")`.
 *
 * @returns the pixels, and whether any of them was not opaque
 */
export function toPlanar(
  { samples, bands, size }: InterleavedPixels,
  channels: 1 | 3,
  background: Background,
): { pixels: Uint8Array; transparent: boolean } {
  if (samples instanceof Uint8Array && bands !== 4)
    return { pixels: opaque({ samples, bands, size }, channels), transparent: false };
  const most = samples instanceof Uint16Array ? 65535 : 255;
  const scale = 255 / most;
  const pixels = new Uint8Array(channels * size);
  const colour: [number, number, number] = [0, 0, 0];
  let transparent = false;
  for (let pixel = 0; pixel < size; pixel++) {
    const at = pixel * bands;
    const alpha = bands === 4 ? (samples[at + 3] as number) / most : 1;
    transparent ||= alpha < 1;
    for (let channel = 0; channel < 3; channel++) {
      const value = (samples[bands === 1 ? at : at + channel] as number) * scale;
      colour[channel] = Math.round(alpha * value + (1 - alpha) * (background[channel] as number));
    }
    if (channels === 1) pixels[pixel] = luma(colour);
    else for (let channel = 0; channel < 3; channel++) pixels[channel * size + pixel] = colour[channel] as number;
  }
  return { pixels, transparent };
}

/** Bytes without alpha, as most files hold them. */
function opaque({ samples, bands, size }: InterleavedPixels, channels: 1 | 3): Uint8Array {
  const pixels = new Uint8Array(channels * size);
  const [green, blue] = bands === 3 ? [1, 2] : [0, 0];
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

function luma([red, green, blue]: Background): number {
  return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
}

/** A planar picture in the middle of a larger one that is filled with the background. */
export function pad(
  inner: { pixels: Uint8Array; height: number; width: number },
  [height, width]: readonly [number, number],
  background: Background,
): Uint8Array {
  const channels = inner.pixels.length / (inner.height * inner.width);
  const fill = channels === 1 ? [luma(background)] : background;
  const top = Math.floor((height - inner.height) / 2);
  const left = Math.floor((width - inner.width) / 2);
  const padded = new Uint8Array(channels * height * width);
  for (let channel = 0; channel < channels; channel++) {
    padded.fill(fill[channel] as number, channel * height * width, (channel + 1) * height * width);
    for (let row = 0; row < inner.height; row++) {
      const from = (channel * inner.height + row) * inner.width;
      const line = inner.pixels.subarray(from, from + inner.width);
      padded.set(line, (channel * height + top + row) * width + left);
    }
  }
  return padded;
}
