import { type RandomSource, randomSource } from "../../data/internal.ts";
import type { Tensor } from "../../tensor/index.ts";

/** The result of mixup. Image i of a batch is blended with image B - 1 - i, and its label is blended in the same way. */
export interface Mixed {
  images: Tensor;
  /** (B): the labels of the images that were blended in. */
  partners: Tensor;
  /** The share of the original image in each blend, 0 to 1. */
  share: number;
}

/**
 * Mixup (Zhang et al., arXiv 1710.09412) with one share λ ~ Beta(α, α) per batch, as in timm's batch mode: `λ·x + (1 −
 * λ)·flip(x)`. The loss is `λ·CE(y) + (1 − λ)·CE(flip(y))`. The share depends only on the keys.
 */
export function mixUp(images: Tensor, labels: Tensor, alpha: number, keys: Readonly<Record<string, number>>): Mixed {
  const share = betaShare(alpha, randomSource("mixup", keys));
  const mixed = images.mul(share).add(images.flip([0]).mul(1 - share));
  return { images: mixed, partners: labels.flip([0]), share };
}

/**
 * A draw from Beta(α, α), α at most 1, by Jöhnk's rejection: U^(1/α) / (U^(1/α) + V^(1/α)), accepted if that sum is at most 1.
 */
export function betaShare(alpha: number, next: RandomSource): number {
  for (;;) {
    // Computed with logarithms, because for a small α both powers underflow.
    const [u, v] = [Math.log((next() + 0.5) / 2 ** 32) / alpha, Math.log((next() + 0.5) / 2 ** 32) / alpha];
    const sum = Math.max(u, v) + Math.log1p(Math.exp(-Math.abs(u - v)));
    if (sum <= 0) return Math.exp(u - sum);
  }
}
