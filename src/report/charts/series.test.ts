import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { movingMean, thin } from "./line-chart.ts";

const line = (...values: (number | null)[]) => values.map((y, index) => ({ x: index + 1, y }));

describe("movingMean", () => {
  it("averages around each point, over fewer at the ends", () => {
    expect(movingMean(line(0, 3, 6, 9), 3).map(({ y }) => y)).toEqual([1.5, 3, 6, 7.5]);
  });

  it("is the identity for a window of one, and keeps gaps", () => {
    expect(movingMean(line(1, null, 3), 1)).toEqual(line(1, null, 3));
    expect(movingMean(line(1, null, 3), 3).map(({ y }) => y)).toEqual([1, null, 3]);
  });

  it("stays between the lowest and the highest value", () => {
    const values = fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 1 });
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 20 }), (list, window) => {
        for (const { y } of movingMean(line(...list), window)) {
          expect(y).toBeGreaterThanOrEqual(Math.min(...list) - 1e-9);
          expect(y).toBeLessThanOrEqual(Math.max(...list) + 1e-9);
        }
      }),
    );
  });
});

describe("thin", () => {
  it("keeps the extremes and the order", () => {
    const points = line(...Array.from({ length: 1000 }, (_, index) => (index === 500 ? 99 : index % 7)));
    const kept = thin(points, 100);
    expect(kept.length).toBeLessThanOrEqual(100);
    expect(kept.map(({ y }) => y)).toContain(99);
    expect(kept.map(({ x }) => x)).toEqual(kept.map(({ x }) => x).sort((a, b) => a - b));
  });

  it("leaves short lines alone", () => {
    expect(thin(line(1, 2), 10)).toEqual(line(1, 2));
  });
});
