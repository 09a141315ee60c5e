import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { manualSeed, rand, tensor, tidy } from "../tensor/index.ts";
import { averageRanks, descendingRanks, shuffledRanks } from "./maps.ts";

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

describe("shuffledRanks", () => {
  it("orders by value, and equal values by the keys, in the same order both ways", () =>
    fc.assert(
      fc.property(rows, fc.nat(1000), (values, seed) =>
        tidy(() => {
          manualSeed(seed);
          const keys = rand([values.length, values[0]?.length as number]);
          const key = (row: number, i: number) => keys.select(0, row).select(0, i).item();
          for (const descending of [true, false]) {
            const sign = descending ? 1 : -1;
            const expected = values.map((row, r) =>
              row.map((own, i) => {
                const before = (other: number, j: number) =>
                  sign * other > sign * own || (other === own && key(r, j) < key(r, i));
                return row.filter(before).length;
              }),
            );
            expect(shuffledRanks(tensor(values), keys, { descending })).toBeAllclose(expected);
          }
        }),
      ),
      { numRuns: 20 },
    ));
});
