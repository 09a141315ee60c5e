import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { shrink } from "./shrink.ts";

describe("shrink", () => {
  it("averages the area that each new pixel covers", () => {
    const pixels = Float32Array.of(1, 3, 5, 7, 9, 11, 13, 15);
    expect([...shrink({ pixels, height: 2, width: 4 }, { height: 1, width: 2 }).pixels]).toEqual([6, 10]);
  });

  it("shares out pixels that two new ones cover", () => {
    const { pixels } = shrink({ pixels: Float32Array.of(3, 6, 9), height: 1, width: 3 }, { height: 1, width: 2 });
    expect([...pixels]).toEqual([4, 8]); // (3 + 6/2) / 1.5 and (6/2 + 9) / 1.5
  });

  it("keeps channels apart", () => {
    const pixels = Float32Array.of(0, 2, 10, 20, 100, 300);
    const small = shrink({ pixels, height: 2, width: 1 }, { height: 1, width: 1 });
    expect(small).toEqual({ pixels: Float32Array.of(1, 15, 200), height: 1, width: 1 });
  });

  it("never makes a picture larger, and leaves one that fits as it is", () => {
    const picture = { pixels: Float32Array.of(1, 2, 3, 4), height: 2, width: 2 };
    expect(shrink(picture, { height: 5, width: 9 })).toEqual(picture);
    expect(shrink(picture, { height: 1, width: 9 })).toEqual({ pixels: Float32Array.of(2, 3), height: 1, width: 2 });
  });

  it("keeps the mean, and a constant picture constant", () => {
    const side = fc.integer({ min: 1, max: 12 });
    fc.assert(
      fc.property(side, side, side, side, (height, width, toHeight, toWidth) => {
        const pixels = Float32Array.from({ length: height * width }, (_, index) => ((index * 37) % 11) / 10);
        const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
        const small = shrink({ pixels, height, width }, { height: toHeight, width: toWidth });
        expect(mean(small.pixels)).toBeCloseTo(mean(pixels), 5);
        const flat = shrink({ pixels: pixels.map(() => 0.7), height, width }, { height: toHeight, width: toWidth });
        for (const value of flat.pixels) expect(value).toBeCloseTo(0.7, 5);
      }),
    );
  });
});
