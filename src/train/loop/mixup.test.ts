import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomSource } from "../../data/batches/random.ts";
import { tensor, tidy } from "../../tensor/index.ts";
import { betaShare, mixUp } from "./mixup.ts";

describe("betaShare", () => {
  it.each([0.05, 0.2, 0.5, 1])("has the mean and the variance of Beta(%f, %f)", (alpha) => {
    const next = randomSource("beta", { alpha: Math.round(alpha * 100) });
    const draws = Array.from({ length: 20_000 }, () => betaShare(alpha, next));
    const mean = draws.reduce((sum, x) => sum + x, 0) / draws.length;
    const variance = draws.reduce((sum, x) => sum + (x - mean) ** 2, 0) / draws.length;
    expect(mean).toBeCloseTo(0.5, 1.7);
    expect(variance).toBeCloseTo(1 / (4 * (2 * alpha + 1)), 2);
  });

  it("is in [0, 1] for every alpha", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 1, noNaN: true }), fc.nat(), (alpha, seed) => {
        const share = betaShare(alpha, randomSource("beta", { seed }));
        return share >= 0 && share <= 1;
      }),
    );
  });
});

describe("mixUp", () => {
  const keys = { seed: 1, step: 2 };

  it("blends image i with image B - 1 - i, with one share per batch", () => {
    tidy(() => {
      const { images, partners, share } = mixUp(
        tensor([[[[0]]], [[[1]]], [[[4]]]]),
        tensor([5n, 6n, 7n] as never, { dtype: "int64" }),
        0.4,
        keys,
      );
      const [first, middle, last] = images.data() as Float32Array;
      expect(first).toBeCloseTo(4 * (1 - share));
      expect(middle).toBeCloseTo(1);
      expect(last).toBeCloseTo(4 * share);
      expect(Array.from(partners.data() as BigInt64Array, Number)).toEqual([7, 6, 5]);
    });
  });

  it("draws the same share for the same keys, and others for others", () => {
    const shareOf = (step: number) => tidy(() => mixUp(tensor([[[[0]]]]), tensor([0]), 1, { ...keys, step }).share);
    expect(shareOf(2)).toBe(shareOf(2));
    expect(new Set([0, 1, 2, 3, 4].map(shareOf)).size).toBe(5);
  });
});
