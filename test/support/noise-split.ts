import { type Split, selectImages, splitOf } from "../../src/data/index.ts";
import { cat, tensor } from "../../src/tensor/index.ts";

/**
 * Dark and bright images of noise, 16x16, alternately of class 0 and 1. Each seed gives different images.
 * @param wrong the fraction of images with the other class's label
 */
export function noiseSplit(seed: number, count: number, wrong = 0): Split {
  let state = seed;
  const next = () => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return state / 2 ** 31;
  };
  const bytes = Uint8Array.from({ length: count * 256 }, (_, i) => 60 * next() + 120 * (Math.floor(i / 256) % 2));
  const labels = BigInt64Array.from({ length: count }, (_, i) => BigInt((i + (i < wrong * count ? 1 : 0)) % 2));
  const images = tensor(bytes, { shape: [count, 1, 16, 16], dtype: "uint8" });
  const normalization = { mean: [0.5], std: [0.25] };
  return splitOf(images, tensor(labels, { dtype: "int64" }), { numClasses: 2, normalization });
}

/** The images of several splits in one split. */
export function joinSplits(first: Split, ...others: readonly Split[]): Split {
  const all = [first, ...others];
  return {
    ...first,
    images: cat(
      all.map(({ images }) => images),
      0,
    ),
    labels: cat(
      all.map(({ labels }) => labels),
      0,
    ),
  };
}

/** The images from index `start` up to, but not including, `end`. */
export const rowsOf = (split: Split, start: number, end: number): Split =>
  selectImages(split, { indices: Int32Array.from({ length: end - start }, (_, i) => start + i), name: split.name });
