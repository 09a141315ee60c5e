import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cropOrPad, innerSize } from "./resize.ts";

describe("cropOrPad", () => {
  it("centres a picture in each channel", () => {
    const pixels = Uint8Array.of(1, 2, 3, 4, 5, 6);
    const { pixels: padded } = cropOrPad({ pixels, height: 1, width: 2 }, [3, 4], [7, 8, 9]);
    expect([...padded.subarray(0, 12)]).toEqual([7, 7, 7, 7, 7, 1, 2, 7, 7, 7, 7, 7]);
    expect([...padded.subarray(24)]).toEqual([9, 9, 9, 9, 9, 5, 6, 9, 9, 9, 9, 9]);
  });

  it("fills the margins of a grey picture with the background's luma", () => {
    const image = { pixels: Uint8Array.of(5), height: 1, width: 1 };
    expect([...cropOrPad(image, [1, 3], [255, 0, 0]).pixels]).toEqual([76, 5, 76]);
  });

  it("crops both sides evenly", () => {
    const image = { pixels: Uint8Array.of(1, 2, 3, 4, 5, 6), height: 1, width: 6 };
    expect([...cropOrPad(image, [1, 2], [0, 0, 0]).pixels]).toEqual([3, 4]);
    expect([...cropOrPad(image, [3, 2], [9, 9, 9]).pixels]).toEqual([9, 9, 3, 4, 9, 9]);
  });
});

describe("innerSize", () => {
  it("covers the size, or fits into it, and touches it on one side", () => {
    const side = fc.integer({ min: 1, max: 300 });
    fc.assert(
      fc.property(side, side, side, side, (height, width, newHeight, newWidth) => {
        const size = [newHeight, newWidth] as const;
        const [coverHeight, coverWidth] = innerSize({ height, width }, size, "cover");
        expect(coverHeight >= newHeight && coverWidth >= newWidth).toBe(true);
        expect(coverHeight === newHeight || coverWidth === newWidth).toBe(true);
        const [innerHeight, innerWidth] = innerSize({ height, width }, size, "contain");
        expect(innerHeight <= newHeight && innerWidth <= newWidth && innerHeight * innerWidth > 0).toBe(true);
        expect(innerHeight === newHeight || innerWidth === newWidth).toBe(true);
        expect(innerSize({ height, width }, size, "fill")).toEqual(size);
      }),
    );
  });
});
