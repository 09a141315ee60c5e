import { type Tensor, tensor } from "../tensor/index.ts";
import { type Draw, isRecoloured } from "./augment-draws.ts";
import { needsHistogram, shadesOf } from "./rand-augment.ts";

/** The images of a batch as bytes, read only where a change depends on them. */
export interface Pixels {
  channels: number;
  /** Of one channel. */
  pixels: number;
  /** (B, C, H, W) */
  bytes: () => Uint8Array;
}

const SHADES = 256;
const UNCHANGED = Float32Array.from({ length: SHADES }, (_, value) => value / 255);

/** What each of 256 shades becomes, in [0, 1]: (B·C, 256), or one row, (1, 256), where no image changes. */
export function shadeTables(draws: readonly Draw[], { channels, pixels, bytes }: Pixels): Tensor {
  if (!draws.some(isRecoloured)) return tensor(UNCHANGED, { shape: [1, SHADES], dtype: "float32" });
  const tables = new Float32Array(draws.length * channels * SHADES);
  const source = draws.some(({ operations }) => operations.some(needsHistogram)) ? bytes() : null;
  for (const [i, { operations, brightness }] of draws.entries()) {
    const counts = Array.from({ length: channels }, (_, c) => {
      const start = (i * channels + c) * pixels;
      return operations.some(needsHistogram) ? histogram((source as Uint8Array).subarray(start, start + pixels)) : NONE;
    });
    for (const [c, shades] of shadesOf(operations, counts).entries())
      tables.set(brightened(shades, brightness), (i * channels + c) * SHADES);
  }
  return tensor(tables, { shape: [draws.length * channels, SHADES], dtype: "float32" });
}

/** In place. */
function brightened(shades: Float32Array, factor: number): Float32Array {
  if (factor !== 1) for (let i = 0; i < SHADES; i++) shades[i] = Math.min(1, (shades[i] as number) * factor);
  return shades;
}

const NONE = new Uint32Array(SHADES);

function histogram(bytes: Uint8Array): Uint32Array {
  const counts = new Uint32Array(SHADES);
  for (let i = 0; i < bytes.length; i++) counts[bytes[i] as number] = (counts[bytes[i] as number] as number) + 1;
  return counts;
}
