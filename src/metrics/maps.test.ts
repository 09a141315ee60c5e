import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tensor, tidy } from "../tensor/index.ts";
import { averageRanks, descendingRanks, percentilesOf } from "./maps.ts";

const rows = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 40 })).chain(([count, size]) =>
  fc.array(fc.array(fc.integer({ min: -3, max: 3 }), { minLength: size, maxLength: size }), {
    minLength: count,
    maxLength: count,
  }),
);

describe("descendingRanks", () => {
  it("counts what is larger, and what is equal and comes first", () =>
    fc.assert(
      fc.property(rows, (values) =>
        tidy(() => {
          const expected = values.map((row) =>
            row.map((own, i) => row.filter((other, j) => other > own || (other === own && j < i)).length),
          );
          expect(descendingRanks(tensor(values))).toBeAllclose(expected);
        }),
      ),
      { numRuns: 50 },
    ));

  it("keeps the order of equal values in rows as long as a photograph's", () =>
    tidy(() => {
      const values = Float64Array.from({ length: 50_176 }, (_, i) => i % 2);
      const ranks = descendingRanks(tensor(values, { shape: [1, values.length] })).data() as BigInt64Array;
      expect(ranks.every((rank, i) => Number(rank) === (i >> 1) + (i % 2 === 1 ? 0 : values.length / 2))).toBe(true);
    }));
});

describe("averageRanks", () => {
  it("gives equal values the mean of their ranks", () =>
    fc.assert(
      fc.property(rows, (values) =>
        tidy(() => {
          const expected = values.map((row) =>
            row.map((own) => {
              const below = row.filter((other) => other < own).length;
              return below + (row.filter((other) => other === own).length - 1) / 2;
            }),
          );
          expect(averageRanks(tensor(values, { dtype: "float64" }))).toBeAllclose(expected);
        }),
      ),
      { numRuns: 50 },
    ));
});

describe("percentilesOf", () => {
  it("interpolates linearly, as numpy's", () =>
    tidy(() => {
      const values = tensor([[3, 1, 2, 10]], { dtype: "float64" });
      expect(percentilesOf(values, [0, 10, 50, 80, 100])).toBeAllclose([[1, 1.3, 2.5, 5.8, 10]], { rtol: 1e-14 });
      expect(percentilesOf(tensor([[7]], { dtype: "float64" }), [0, 30, 100])).toBeAllclose([[7, 7, 7]]);
    }));

  it("gives a value itself where the place is whole", () =>
    tidy(() => {
      const values = Float64Array.from({ length: 101 }, (_, i) => Math.sin(i) * 1e-3);
      const sorted = values.toSorted();
      const quantiles = Array.from({ length: 101 }, (_, q) => q);
      expect(percentilesOf(tensor(values, { shape: [1, 101] }), quantiles).data()).toEqual(sorted);
    }));

  it("is NaN for a row with NaN alone", () =>
    tidy(() => {
      const values = tensor([
        [1, Number.NaN, 2],
        [1, 3, 2],
      ]);
      const expected = [
        [Number.NaN, Number.NaN],
        [1, 2],
      ];
      expect(percentilesOf(values.to("float64"), [0, 50])).toBeAllclose(expected, { equalNan: true });
    }));
});
