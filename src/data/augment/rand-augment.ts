import { IDENTITY, type Matrix, rotation, shear, translation } from "./affine.ts";

export type OperationName =
  | "identity"
  | "shearX"
  | "shearY"
  | "translateX"
  | "translateY"
  | "rotate"
  | "brightness"
  | "contrast"
  | "posterize"
  | "solarize"
  | "autocontrast"
  | "equalize";

/** One RandAugment operation with its drawn strength. */
export interface Operation {
  name: OperationName;
  /** Strength as a fraction of the operation's range: from −1 to 1, or from 0 to 1 if it has no sign. */
  strength: number;
}

interface Kind {
  /** Whether the strength has a random sign. */
  signed: boolean;
  /** The map from positions in the new image to positions in the old one; `aspect` is W / H. */
  matrix?: (strength: number, aspect: number) => Matrix;
  /** The value in [0, 1] that each of the 256 shades is mapped to, given the image's statistics. */
  shades?: (shades: Float32Array, strength: number, seen: Seen) => Float32Array;
}

/** The statistics that an operation on shades may use: those of one channel, after the preceding operations. */
interface Seen {
  /** Number of pixels with each of 256 shades. */
  histogram: ArrayLike<number>;
  /** Mean luma of all channels, in [0, 1]. */
  mean: number;
}

/** Maps the shades in place, which is safe because each channel has its own table. */
function map(shades: Float32Array, of: (value: number) => number): Float32Array {
  for (let i = 0; i < shades.length; i++) shades[i] = clamp(of(shades[i] as number));
  return shades;
}
const clamp = (value: number): number => Math.min(1, Math.max(0, value));
const byteOf = (value: number): number => Math.floor(value * 255 + 1e-3);

/**
 * The operations of RandAugment (Cubuk et al., arXiv 1909.13719) with torchvision's ranges. Shear and rotation are
 * about the centre of the image. The operations colour and sharpness are left out, because they neither move pixels nor
 * map shades.
 */
const KINDS: Readonly<Record<OperationName, Kind>> = {
  identity: { signed: false },
  shearX: { signed: true, matrix: (s, aspect) => shear(0.3 * s, 0, aspect) },
  shearY: { signed: true, matrix: (s, aspect) => shear(0, 0.3 * s, aspect) },
  translateX: { signed: true, matrix: (s) => translation((150 / 331) * s, 0) },
  translateY: { signed: true, matrix: (s) => translation(0, (150 / 331) * s) },
  rotate: { signed: true, matrix: (s, aspect) => rotation((30 * s * Math.PI) / 180, aspect) },
  brightness: { signed: true, shades: (shades, s) => map(shades, (v) => v * (1 + 0.9 * s)) },
  contrast: { signed: true, shades: (shades, s, { mean }) => map(shades, (v) => mean + (1 + 0.9 * s) * (v - mean)) },
  posterize: { signed: false, shades: (shades, s) => posterized(shades, 8 - Math.round(4 * s)) },
  solarize: { signed: false, shades: (shades, s) => map(shades, (v) => (v >= 1 - s ? 1 - v : v)) },
  autocontrast: { signed: false, shades: (shades, _, { histogram }) => stretched(shades, histogram) },
  equalize: { signed: false, shades: (shades, _, { histogram }) => equalized(shades, histogram) },
};
export const OPERATION_NAMES = Object.keys(KINDS) as OperationName[];

/** Draws `count` operations uniformly, each with a strength of `magnitude` tenths of its range. */
export function drawOperations(count: number, magnitude: number, next: () => number): Operation[] {
  return Array.from({ length: count }, () => {
    const name = OPERATION_NAMES[Math.floor(next() * OPERATION_NAMES.length)] as OperationName;
    const sign = next() < 0.5 ? -1 : 1;
    return { name, strength: (magnitude / 10) * (KINDS[name].signed ? sign : 1) };
  });
}

/** The maps of the operations that move pixels, in their order; the identity for the others. */
export function matrixOfOperations(operations: readonly Operation[], aspect: number): Matrix[] {
  return operations.map(({ name, strength }) => KINDS[name].matrix?.(strength, aspect) ?? IDENTITY);
}

/** Whether an operation depends on the histogram of the image. */
export const needsHistogram = ({ name }: Operation): boolean => HISTOGRAM.includes(name);
const HISTOGRAM: readonly OperationName[] = ["contrast", "autocontrast", "equalize"];

export const recolours = ({ name }: Operation): boolean => "shades" in KINDS[name];

/** Weights of the channels in the luma: those of ITU-R 601 for RGB, and 1 for grey. */
const LUMA: Readonly<Record<number, readonly number[]>> = { 1: [1], 3: [0.2989, 0.587, 0.114] };

/**
 * The value in [0, 1] that each of the 256 shades of each channel is mapped to by the operations, in their order.
 * @param histograms 256 counts for each channel
 */
export function shadesOf(operations: readonly Operation[], histograms: readonly ArrayLike<number>[]): Float32Array[] {
  let tables: Float32Array[] = histograms.map(() => UNCHANGED.slice());
  for (const operation of operations) {
    const { shades } = KINDS[operation.name];
    if (shades === undefined) continue;
    const seen = needsHistogram(operation) ? seenThrough(tables, histograms) : tables.map(() => UNSEEN);
    tables = tables.map((table, c) => shades(table, operation.strength, seen[c] as Seen));
  }
  return tables;
}

const UNCHANGED = Float32Array.from({ length: 256 }, (_, value) => value / 255);
const UNSEEN: Seen = { histogram: [], mean: 0 };

function seenThrough(tables: readonly Float32Array[], histograms: readonly ArrayLike<number>[]): Seen[] {
  const after = tables.map((table, c) => through(table, histograms[c] as ArrayLike<number>));
  const mean = meanLuma(after);
  return after.map((histogram) => ({ histogram, mean }));
}

/** The histogram after the shades were mapped by a table. */
function through(table: Float32Array, histogram: ArrayLike<number>): Uint32Array {
  const result = new Uint32Array(256);
  for (let value = 0; value < 256; value++) {
    const to = byteOf(table[value] as number);
    result[to] = (result[to] as number) + (histogram[value] as number);
  }
  return result;
}

function meanLuma(histograms: readonly Uint32Array[]): number {
  const weights = LUMA[histograms.length] ?? histograms.map(() => 1 / histograms.length);
  return histograms.reduce((sum, histogram, c) => {
    const count = histogram.reduce((a, b) => a + b, 0);
    const total = histogram.reduce((a, b, value) => a + b * value, 0);
    return sum + ((weights[c] as number) * total) / Math.max(1, count) / 255;
  }, 0);
}

function posterized(shades: Float32Array, bits: number): Float32Array {
  const kept = 256 - 2 ** (8 - bits);
  return map(shades, (v) => (byteOf(v) & kept) / 255);
}

/**
 * Stretches the shades linearly, so that the smallest that occurs becomes 0 and the largest 1. An image of a single
 * shade is unchanged.
 */
function stretched(shades: Float32Array, histogram: ArrayLike<number>): Float32Array {
  const present = Array.from({ length: 256 }, (_, value) => value).filter((value) => (histogram[value] as number) > 0);
  const [low = 0, high = 0] = [present[0], present.at(-1)];
  if (high === low) return shades;
  return map(shades, (v) => (v * 255 - low) / (high - low));
}

/**
 * Histogram equalisation as in PIL and torchvision: the cumulative histogram, divided by an integer step that excludes
 * the count of the largest shade.
 */
function equalized(shades: Float32Array, histogram: ArrayLike<number>): Float32Array {
  const counts = Array.from(histogram);
  const last = counts.findLast((count) => count > 0) ?? 0;
  const step = Math.floor((counts.reduce((sum, count) => sum + count, 0) - last) / 255);
  if (step === 0) return shades;
  const table = new Float32Array(256);
  let sum = 0;
  for (let value = 0; value < 256; value++) {
    table[value] = Math.min(255, Math.floor((sum + Math.floor(step / 2)) / step)) / 255;
    sum += counts[value] as number;
  }
  return shades.map((v) => table[byteOf(v)] as number);
}
