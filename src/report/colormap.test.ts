import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BatchCamError } from "../errors.ts";
import { INFERNO, level, overlay } from "./colormap.ts";

const row = (entry: number) => [...INFERNO.subarray(entry * 3, entry * 3 + 3)];

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof BatchCamError) return error.code;
    throw error;
  }
  return "no error";
}

describe("INFERNO", () => {
  it("has 256 colours", () => {
    expect(INFERNO).toHaveLength(768);
  });

  it.each([
    [0, [0, 0, 4]],
    [1, [1, 0, 5]],
    [64, [87, 16, 110]],
    [128, [188, 55, 84]],
    [192, [249, 142, 9]],
    [254, [250, 253, 161]],
    [255, [252, 255, 164]],
  ])("is within one level of matplotlib's table at entry %i", (entry, expected) => {
    row(entry).forEach((value, channel) => {
      expect(Math.abs(value - (expected[channel] ?? 0))).toBeLessThanOrEqual(1);
    });
  });

  it("grows lighter from entry to entry, so that it can be read in grey", () => {
    const lightness = Array.from({ length: 256 }, (_, entry) => {
      const [red = 0, green = 0, blue = 0] = row(entry);
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    });
    for (let entry = 1; entry < 256; entry++) {
      expect(lightness[entry]).toBeGreaterThan((lightness[entry - 1] ?? 0) - 0.75);
      if (entry >= 5) expect(lightness[entry]).toBeGreaterThan(lightness[entry - 5] ?? 0);
    }
  });
});

describe("level", () => {
  it.each([
    [0, 0],
    [1, 255],
    [0.5, 128],
    [-3, 0],
    [7, 255],
    [Number.NaN, 0],
    [Infinity, 255],
    [-Infinity, 0],
  ])("takes %d to %i", (value, expected) => {
    expect(level(value)).toBe(expected);
  });
});

describe("overlay", () => {
  const size = { height: 2, width: 2 };
  const grey = Float32Array.of(0, 0.25, 0.5, 1);

  it("leaves the image as it is where the map is zero", () => {
    const mixed = overlay(grey, new Float32Array(4), size);
    expect([...mixed]).toEqual([...grey, ...grey, ...grey]);
  });

  it("shows the colour alone at full strength where the map is one", () => {
    const mixed = overlay(grey, new Float32Array(4).fill(1), { ...size, strength: 1 });
    expect(mixed[0]).toBeCloseTo(252 / 255, 6);
    expect(mixed[4]).toBeCloseTo(1, 6);
    expect(mixed[8]).toBeCloseTo(164 / 255, 6);
  });

  it("keeps the channels of a colour image apart", () => {
    const colour = Float32Array.of(1, 1, 1, 1, 0, 0, 0, 0, 0.5, 0.5, 0.5, 0.5);
    expect([...overlay(colour, new Float32Array(4), size)]).toEqual([...colour]);
  });

  it("stays in [0, 1] and finite whatever the pixels are", () => {
    const anything = fc.float32Array({ minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(anything, anything, fc.double({ min: 0, max: 1, noNaN: true }), (image, map, strength) => {
        const mixed = overlay(image, map, { ...size, strength });
        expect(mixed).toHaveLength(12);
        expect(mixed.every((value) => value >= 0 && value <= 1)).toBe(true);
      }),
    );
  });

  it("moves every channel between the image and the colour, never past either", () => {
    const share = fc.float({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(share, share, (pixel, value) => {
        const one = { height: 1, width: 1 };
        const mixed = overlay(Float32Array.of(pixel), Float32Array.of(value), one);
        row(level(value)).forEach((colour, channel) => {
          const [low, high] = [Math.min(pixel, colour / 255), Math.max(pixel, colour / 255)];
          expect(mixed[channel]).toBeGreaterThanOrEqual(low - 1e-6);
          expect(mixed[channel]).toBeLessThanOrEqual(high + 1e-6);
        });
      }),
    );
  });

  it.each([
    ["an image of another size", () => overlay(new Float32Array(5), new Float32Array(4), size), "E_SHAPE"],
    ["a map of another size", () => overlay(grey, new Float32Array(3), size), "E_SHAPE"],
    ["a map in colour", () => overlay(grey, new Float32Array(12), size), "E_SHAPE"],
    ["a strength past 1", () => overlay(grey, grey, { ...size, strength: 1.5 }), "E_ARGUMENT"],
    ["a strength that is no number", () => overlay(grey, grey, { ...size, strength: Number.NaN }), "E_ARGUMENT"],
    ["a height of zero", () => overlay(grey, grey, { height: 0, width: 4 }), "E_ARGUMENT"],
    ["a width that is not whole", () => overlay(grey, grey, { height: 1, width: 1.5 }), "E_ARGUMENT"],
  ])("refuses %s", (_, run, code) => {
    expect(codeOf(run)).toBe(code);
  });

  it("says what it wanted and what it got", () => {
    expect(() => overlay(grey, new Float32Array(3), size)).toThrow(
      "overlay: map: a 2x2 picture must hold 4 (grey) or 12 (colour) values, got 3",
    );
  });
});
