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

/** One operation on one image, its strength drawn. */
export interface Operation {
  name: OperationName;
  /** From -1 to 1 of the operation's range; from 0 where it has no sign. */
  strength: number;
}

interface Kind {
  /** Whether the strength has a sign, drawn by a fair coin. */
  signed: boolean;
  /** Where a place of the new image comes from; `aspect` is W / H. */
  matrix?: (strength: number, aspect: number) => Matrix;
  /** What each of the 256 shades becomes, in [0, 1], given how often each occurs; and the mean grey of the image. */
  shades?: (shades: Float32Array, strength: number, seen: Seen) => Float32Array;
}

/** What an operation on shades may look at: one channel's, as the operations before left them. */
interface Seen {
  /** Times that each of 256 shades occurs. */
  histogram: ArrayLike<number>;
  /** Mean luma of all channels, in [0, 1]. */
  mean: number;
}

/** In place: each operation has a table of its own to change. */
function map(shades: Float32Array, of: (value: number) => number): Float32Array {
  for (let i = 0; i < shades.length; i++) shades[i] = clamp(of(shades[i] as number));
  return shades;
}
const clamp = (value: number): number => Math.min(1, Math.max(0, value));
const byteOf = (value: number): number => Math.floor(value * 255 + 1e-3);

/**
 * The operations of RandAugment (Cubuk et al., arXiv 1909.13719) with torchvision's ranges, shear and rotation about the
 * image's middle. Colour and sharpness, which neither move pixels nor map shades, are left out.
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

/** `count` operations, each drawn evenly from all, at `magnitude` tenths of its range. */
export function drawOperations(count: number, magnitude: number, next: () => number): Operation[] {
  return Array.from({ length: count }, () => {
    const name = OPERATION_NAMES[Math.floor(next() * OPERATION_NAMES.length)] as OperationName;
    const sign = next() < 0.5 ? -1 : 1;
    return { name, strength: (magnitude / 10) * (KINDS[name].signed ? sign : 1) };
  });
}

/** What the operations that move pixels do together, the first one first. */
export function matrixOfOperations(operations: readonly Operation[], aspect: number): Matrix[] {
  return operations.map(({ name, strength }) => KINDS[name].matrix?.(strength, aspect) ?? IDENTITY);
}

/** Whether what an operation does depends on how often each shade occurs. */
export const needsHistogram = ({ name }: Operation): boolean => HISTOGRAM.includes(name);
const HISTOGRAM: readonly OperationName[] = ["contrast", "autocontrast", "equalize"];

export const recolours = ({ name }: Operation): boolean => "shades" in KINDS[name];

/** How much each channel weighs in the luma of an image: ITU-R 601, or all of a single one. */
const LUMA: Readonly<Record<number, readonly number[]>> = { 1: [1], 3: [0.2989, 0.587, 0.114] };

/**
 * What each shade of each channel becomes by the operations that map shades, in their order: 256 values in [0, 1] a channel.
 * @param histograms of each channel, 256 counts
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

/** The histogram of shades that have gone through a table. */
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

/** From the least to the largest shade that occurs, to 0 to 1; a single shade stays. */
function stretched(shades: Float32Array, histogram: ArrayLike<number>): Float32Array {
  const present = Array.from({ length: 256 }, (_, value) => value).filter((value) => (histogram[value] as number) > 0);
  const [low = 0, high = 0] = [present[0], present.at(-1)];
  if (high === low) return shades;
  return map(shades, (v) => (v * 255 - low) / (high - low));
}

/** As PIL and torchvision: the cumulated histogram in whole steps, its last shade apart. */
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
