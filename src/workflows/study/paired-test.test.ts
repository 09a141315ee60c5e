import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { holm, pairedTest } from "./paired-test.ts";

interface Case {
  differences: number[];
  p: number;
  low: number;
  high: number;
  deviation: number;
}

const file = new URL("../../../test/fixtures/paired_tests.json", import.meta.url);
const { cases } = JSON.parse(readFileSync(file, "utf8")) as { cases: Case[] };

describe("a paired t-test", () => {
  it.each(cases.map((one) => [one.differences.length, one] as const))("of %d pairs agrees with SciPy", (_, one) => {
    const found = pairedTest(one.differences);
    expect(found.pairs).toBe(one.differences.length);
    expect(found.deviation).toBeCloseTo(one.deviation, 12);
    expect(Math.abs((found.p as number) - one.p)).toBeLessThanOrEqual(1e-6 * one.p);
    for (const end of ["low", "high"] as const)
      expect(Math.abs((found[end] as number) - one[end])).toBeLessThan(1e-7 * one.deviation);
  });

  it("agrees with a p computed by hand: 1, 2, 3 has t = 2·√3 with 2 degrees of freedom, p = 1 − √(6/7)", () => {
    // P(|T| > t) with 2 degrees of freedom is 1 − t / √(2 + t²).
    expect(pairedTest([1, 2, 3]).p).toBeCloseTo(1 - Math.sqrt(12 / 14), 8);
  });

  // Numbers below the smallest normal number have fewer digits, so that an interval's end rounds to zero and ratios change with the unit.
  const difference = fc
    .double({ min: -1, max: 1, noNaN: true })
    .filter((value) => value === 0 || Math.abs(value) > 1e-300);

  it("has an interval that contains zero if and only if p is above 0.05", () => {
    fc.assert(
      fc.property(fc.array(difference, { minLength: 3, maxLength: 12 }), (list) => {
        const { p, low, high } = pairedTest(list);
        if (p === null || low === null || high === null || Math.abs(p - 0.05) < 1e-6) return;
        expect(low > 0 || high < 0).toBe(p < 0.05);
      }),
    );
  });

  it.each([1e-200, 1e-160, 1e160])(
    "depends only on the ratios of the differences, even if they are of the size of %d",
    (size) => {
      const [one, scaled] = [pairedTest([1, 2, 4]), pairedTest([size, 2 * size, 4 * size])];
      expect(scaled.p).toBeCloseTo(one.p as number, 12);
      expect((scaled.deviation as number) / size).toBeCloseTo(one.deviation as number, 12);
    },
  );

  it("does not depend on the unit, and a change of sign mirrors the interval", () => {
    fc.assert(
      fc.property(
        fc.array(difference, { minLength: 3, maxLength: 9 }),
        fc.double({ min: 0.01, max: 1000, noNaN: true }),
        (list, unit) => {
          const [one, scaled] = [pairedTest(list), pairedTest(list.map((value) => -unit * value))];
          if (one.p === null || scaled.p === null) return; // the differences are so close to equal that rounding decides
          expect(Math.abs(scaled.p - one.p)).toBeLessThan(1e-6);
          expect(scaled.low).toBeCloseTo(-unit * (one.high as number), 6);
        },
      ),
    );
  });

  it.each([
    ["no pair", [], { pairs: 0, mean: null, deviation: null }],
    ["one pair", [0.5], { pairs: 1, mean: 0.5, deviation: null }],
    ["two pairs", [1, 3], { pairs: 2, mean: 2, deviation: Math.SQRT2 }],
    ["differences that are all equal", [0.1 + 0.2, 0.3, 0.3], { pairs: 3 }],
    ["no difference", [0, 0, 0, 0], { pairs: 4, mean: 0, deviation: 0 }],
    [
      "two numbers among values that are not finite",
      [1, Number.NaN, 3, Number.POSITIVE_INFINITY],
      { pairs: 2, mean: 2 },
    ],
  ])("gives no p value for %s", (_, differences, expected) => {
    expect(pairedTest(differences)).toMatchObject({ ...expected, p: null, low: null, high: null });
  });
});

describe("Holm's correction", () => {
  it("gives what R's p.adjust(p, 'holm') does", () => {
    const adjusted = holm([0.01, 0.04, 0.03, 0.005]);
    for (const [index, value] of [0.03, 0.06, 0.06, 0.02].entries()) expect(adjusted[index]).toBeCloseTo(value, 12);
  });

  it("leaves out values that were not tested, and never exceeds 1", () => {
    expect(holm([null, 0.6, null, 0.7])).toEqual([null, 1, null, 1]);
    expect(holm([])).toEqual([]);
  });

  it("keeps the order of the tests, is between p and m·p, and is p for a single test", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 12 }), (ps) => {
        const adjusted = holm(ps) as number[];
        ps.forEach((p, i) => {
          expect(adjusted[i]).toBeGreaterThanOrEqual(p);
          expect(adjusted[i]).toBeLessThanOrEqual(Math.min(1, ps.length * p) + 1e-12);
          ps.forEach((other, j) => {
            if (p < other) expect(adjusted[i]).toBeLessThanOrEqual(adjusted[j] as number);
          });
        });
        expect(holm([ps[0] as number])).toEqual([ps[0]]);
      }),
    );
  });
});
