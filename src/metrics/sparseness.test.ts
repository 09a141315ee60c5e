import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tensor, tidy, zeros } from "../tensor/index.ts";
import { sparseness } from "./sparseness.ts";

const values = fc.array(fc.double({ min: -5, max: 5, noNaN: true }), { minLength: 1, maxLength: 30 });
const of = (row: readonly number[]) =>
  tidy(() => sparseness(tensor(Float64Array.from(row), { shape: [1, 1, row.length] })).item());

describe("sparseness", () => {
  it("is the mean difference of all pairs of magnitudes over twice their mean, in [0, 1]", () =>
    fc.assert(
      fc.property(
        values.filter((row) => row.some((value) => Math.abs(value) > 1e-3)),
        (row) => {
          const largest = Math.max(...row.map(Math.abs));
          const a = row.map((value) => Math.abs(value) / largest + 1e-7);
          const pairs = a.flatMap((x) => a.map((y) => Math.abs(x - y))).reduce((sum, value) => sum + value, 0);
          const total = a.reduce((sum, value) => sum + value, 0);
          const gini = of(row);
          expect(gini).toBeAllclose(pairs / (2 * a.length * total), { rtol: 1e-9, atol: 1e-12 });
          expect(gini).toBeGreaterThanOrEqual(-1e-12);
          expect(gini).toBeLessThanOrEqual(1);
        },
      ),
    ));

  it("is 0 for a constant map, nearly 1 for a single bright pixel, and does not depend on scale, sign and order", () => {
    expect(of([3, 3, 3, 3])).toBeAllclose(0, { atol: 1e-15 });
    const single = Array.from({ length: 1000 }, (_, i) => Number(i === 400));
    expect(of(single)).toBeAllclose(0.999, { atol: 1e-3 });
    expect(of([1, 2, 3, 4])).toBeAllclose(0.25, { rtol: 1e-6 });
    expect(of([-4e-9, 1e-9, -3e-9, 2e-9])).toBeAllclose(of([1, 2, 3, 4]), { rtol: 1e-9 });
  });

  it("is NaN for a dead map and for one with NaN, and for no other", () =>
    tidy(() => {
      const maps = tensor([[[0, 0]], [[1, Number.NaN]], [[0, 1]]]);
      expect(sparseness(maps)).toBeAllclose([Number.NaN, Number.NaN, 0.5], { equalNan: true, rtol: 1e-6 });
      expect(sparseness(zeros([0, 2, 2])).shape).toEqual([0]);
    }));

  it("refuses values that are not maps", () =>
    tidy(() => {
      expect(() => sparseness(zeros([2, 2]))).toThrow(/^sparseness: maps must be \[N, H, W\], got \[2, 2\]/);
      expect(() => sparseness(zeros([2, 2, 0]))).toThrow(/^sparseness: maps have no pixels, got \[2, 2, 0\]/);
      expect(() => sparseness(null as never)).toThrow(/^sparseness: maps: expected a Tensor, got null/);
    }));
});
