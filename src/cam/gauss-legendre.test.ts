import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gaussLegendre } from "./input-gradients.ts";

const integral = (n: number, fn: (t: number) => number) =>
  gaussLegendre(n).reduce((sum, { point, weight }) => sum + weight * fn(point), 0);

describe("gaussLegendre", () => {
  it("is exact for polynomials of degree 2n − 1, and for no higher one", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), (n) => {
        for (let degree = 0; degree < 2 * n; degree++)
          expect(integral(n, (t) => t ** degree)).toBeCloseTo(1 / (degree + 1), 12);
      }),
      { numRuns: 30 },
    );
    expect(Math.abs(integral(2, (t) => t ** 4) - 1 / 5)).toBeGreaterThan(1e-3);
  });

  it("has positive weights that sum to one, and points inside the interval, in order and symmetric", () => {
    for (const n of [1, 2, 7, 50, 500]) {
      const nodes = gaussLegendre(n);
      expect(nodes.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12);
      nodes.forEach(({ point, weight }, i) => {
        expect(weight).toBeGreaterThan(0);
        expect(point).toBeGreaterThan(nodes[i - 1]?.point ?? 0);
        expect(point + (nodes[n - 1 - i]?.point as number)).toBeCloseTo(1, 14);
      });
    }
  });
});
