import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { textWidth } from "./font.ts";
import { fitText, fittedWidth } from "./text-fit.ts";

describe("textWidth", () => {
  it.each([
    // Advance widths of DejaVu Sans in units of 1/2048 em: digits 1303, space 651, W 2025, i 569, λ 1212.
    ["0", 1303],
    ["W", 2025],
    ["i i", 569 * 2 + 651],
    ["λ", 1212],
    ["", 0],
  ])("measures %j as the font does", (text, units) => {
    expect(textWidth(text, { size: 2048 })).toBe(units);
  });

  it("scales with the size, and bold is wider", () => {
    expect(textWidth("prototype", { size: 20 })).toBeCloseTo(2 * textWidth("prototype", { size: 10 }), 10);
    expect(textWidth("prototype", { size: 10, bold: true })).toBeGreaterThan(textWidth("prototype", { size: 10 }));
  });

  it("gives characters that the font lacks a width too", () => {
    expect(textWidth("漢😀", { size: 10 })).toBeGreaterThan(0);
  });
});

describe("fitText", () => {
  it("breaks at spaces but not at no-break spaces", () => {
    const room = { width: textWidth("98.3\u00a0%", { size: 10 }) + 1, size: 10, minSize: 10, lines: 3 };
    expect(fitText("7 98.3\u00a0% 5", room).lines).toEqual(["7", "98.3\u00a0%", "5"]);
  });

  const room = { width: 84, size: 11.5, minSize: 8, lines: 2 };

  it("leaves a short text alone", () => {
    expect(fitText("7", room)).toEqual({ lines: ["7"], size: 11.5, cut: false });
  });

  it("wraps at spaces before it shrinks", () => {
    expect(fitText("pneumonia (viral)", room)).toEqual({ lines: ["pneumonia", "(viral)"], size: 11.5, cut: false });
  });

  it("shrinks before it breaks words", () => {
    const { lines, size } = fitText("hypercholesterol", room);
    expect(lines).toEqual(["hypercholesterol"]);
    expect(size).toBeLessThan(11.5);
  });

  it("cuts with an ellipsis only at the smallest size", () => {
    const { lines, size, cut } = fitText("Donaudampfschifffahrtsgesellschaftskapitän", room);
    expect(cut).toBe(true);
    expect(size).toBe(8);
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(/…$/);
  });

  it("makes nothing of nothing", () => {
    expect(fitText("  ", room).lines).toEqual([]);
    expect(fittedWidth("", room)).toBe(0);
  });

  it("never leaves its room, whatever the text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 120 }), fc.integer({ min: 48, max: 400 }), (text, width) => {
        const { lines } = fitText(text, { ...room, width });
        expect(lines.length).toBeLessThanOrEqual(2);
        expect(fittedWidth(text, { ...room, width })).toBeLessThanOrEqual(width);
      }),
      { numRuns: 50 },
    );
  });
});
