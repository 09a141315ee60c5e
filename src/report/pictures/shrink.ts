import type { Picture } from "./picture.ts";

/**
 * Reduces a picture: each new pixel is the mean of the area that it covers, so that thin lines are kept.
 * A side that is small enough stays as it is.
 */
export function shrink({ pixels, height, width }: Picture, most: { height: number; width: number }): Picture {
  const channels = pixels.length / (height * width);
  const wide = average(pixels, { lines: channels * height, from: width, to: Math.min(width, most.width), stride: 1 });
  const size = { height: Math.min(height, most.height), width: Math.min(width, most.width) };
  const small = average(wide, { lines: channels, from: height, to: size.height, stride: size.width });
  return { pixels: small, ...size };
}

interface Axis {
  /** The number of blocks of `from · stride` values. */
  lines: number;
  from: number;
  to: number;
  /** The distance between neighbouring values along the axis. */
  stride: number;
}

function average(values: Float32Array, { lines, from, to, stride }: Axis): Float32Array {
  if (from === to) return values;
  const means = new Float32Array(lines * to * stride);
  for (let index = 0; index < to; index++) {
    const [start, end] = [(index * from) / to, ((index + 1) * from) / to];
    for (let source = Math.floor(start); source < Math.min(from, Math.ceil(end)); source++) {
      const weight = ((Math.min(source + 1, end) - Math.max(source, start)) * to) / from;
      for (let line = 0; line < lines; line++) {
        const [at, toAt] = [(line * from + source) * stride, (line * to + index) * stride];
        for (let step = 0; step < stride; step++)
          means[toAt + step] = (means[toAt + step] ?? 0) + weight * (values[at + step] ?? 0);
      }
    }
  }
  return means;
}
