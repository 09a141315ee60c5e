import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { manualSeed, randn, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { pearson, spearman } from "./correlation.ts";

const one = (values: readonly number[]) => tensor([[...values]]).unsqueeze(0);

describe("spearman", () => {
  it("is Pearson's of the mean ranks, here (1 2.5 2.5 4 5 0) and (3 0.5 0.5 4.5 4.5 2)", () =>
    tidy(() => {
      expect(spearman(one([1, 2, 2, 4, 7, 0]), one([3, 1, 1, 5, 5, 2]))).toBeAllclose([8.5 / Math.sqrt(17 * 16.5)]);
    }));

  it("is 1 for any growing function of a map, −1 for a falling one", () =>
    tidy(() => {
      const maps = randn([3, 5, 4]);
      expect(spearman(maps, maps.exp())).toBeAllclose([1, 1, 1]);
      expect(spearman(maps, maps.mul(-2).add(1))).toBeAllclose([-1, -1, -1]);
    }));
});

describe("pearson", () => {
  it("is the covariance over the deviations", () =>
    tidy(() => {
      expect(pearson(one([1, 2, 3, 5]), one([2, 1, 4, 9]))).toBeAllclose([17 / Math.sqrt(8.75 * 38)]);
    }));
});

describe.each([
  ["pearson", pearson],
  ["spearman", spearman],
] as const)("%s", (name, correlation) => {
  it("is in [−1, 1], is symmetric, and does not depend on scale and offset", () =>
    fc.assert(
      fc.property(fc.nat(10_000), fc.double({ min: 1e-3, max: 1e3, noNaN: true }), (seed, scale) =>
        tidy(() => {
          manualSeed(seed);
          const [a, b] = [randn([2, 3, 4], { dtype: "float64" }), randn([2, 3, 4], { dtype: "float64" })];
          const value = correlation(a, b);
          expect(value.abs().max().item()).toBeLessThanOrEqual(1);
          expect(correlation(b, a)).toBeAllclose(value, { rtol: 1e-12 });
          expect(correlation(a.mul(scale).sub(3), b)).toBeAllclose(value, { rtol: 1e-8, atol: 1e-10 });
        }),
      ),
      { numRuns: 30 },
    ));

  it("is NaN for a constant map and for one with NaN, and for no other", () =>
    tidy(() => {
      const maps = tensor([[[1, 2]], [[0.1, 0.1]], [[1, Number.NaN]]]);
      const others = tensor([[[1, 3]], [[1, 3]], [[1, 3]]]);
      const expected = [1, Number.NaN, Number.NaN];
      expect(correlation(maps, others)).toBeAllclose(expected, { equalNan: true });
      expect(correlation(others, maps)).toBeAllclose(expected, { equalNan: true });
    }));

  it("gives nothing for no map", () =>
    tidy(() => expect(correlation(zeros([0, 2, 2]), zeros([0, 2, 2])).shape).toEqual([0])));

  it("refuses maps of different shapes, of no pixel, and what is no tensor", () =>
    tidy(() => {
      const bad: [() => Tensor, RegExp][] = [
        [() => correlation(zeros([2, 2, 2]), zeros([2, 2, 3])), /: b must be \[N, H, W=2\], got \[2, 2, 3\]/],
        [() => correlation(zeros([2, 0, 2]), zeros([2, 0, 2])), /: maps have no pixels, got \[2, 0, 2\]/],
        [() => correlation(null as unknown as Tensor, zeros([1, 1, 1])), /: a: expected a Tensor, got null/],
      ];
      for (const [run, message] of bad) {
        expect(run).toThrow(message);
        expect(run).toThrow(new RegExp(`^${name}: `));
      }
    }));
});
