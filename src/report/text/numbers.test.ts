import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatNumber, formatPercent, formatShort, formatSigned, mean } from "./numbers.ts";

describe("numbers in words", () => {
  it.each([null, undefined, Number.NaN, Infinity, -Infinity])("are a dash for %s", (value) => {
    for (const format of [formatNumber, formatPercent, formatSigned, formatShort]) expect(format(value)).toBe("–");
  });

  it("have a true minus sign and no negative zero", () => {
    expect(formatNumber(-0.5, 1)).toBe("−0.5");
    expect(formatNumber(-0.0001, 3)).toBe("0.000");
    expect(formatSigned(-0.0001, 3)).toBe("0.000");
  });

  it("carry a plus sign only where they differ from zero", () => {
    expect(formatSigned(0.4168)).toBe("+0.417");
    expect(formatSigned(0.0001)).toBe("0.000");
    expect(formatSigned(-2, 0)).toBe("−2");
  });

  it("show shares as percentages", () => {
    expect(formatPercent(0.98765)).toBe("98.77\u00a0%");
    expect(formatPercent(0, 0)).toBe("0\u00a0%");
  });

  it.each([
    [0, "0"],
    [0.0906, "0.0906"],
    [11.234, "11.2"],
    [1e-4, "1e−4"],
    [-1.26e-7, "−1.3e−7"],
    [123456, "1.2e5"],
    [54321, "54300"],
  ])("are short for axes: %d as %s", (value, expected) => {
    expect(formatShort(value)).toBe(expected);
  });

  it("are never spelt NaN, Infinity or null", () => {
    fc.assert(
      fc.property(fc.double(), (value) => {
        for (const format of [formatNumber, formatPercent, formatSigned, formatShort]) {
          expect(format(value)).not.toMatch(/NaN|Infinity|null/);
        }
      }),
    );
  });
});

describe("mean", () => {
  it("is over the numbers there are", () => {
    expect(mean([1, null, Number.NaN, 3])).toBe(2);
    expect(mean([null])).toBeNull();
    expect(mean([])).toBeNull();
  });
});
