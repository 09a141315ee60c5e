import { describe, expect, it } from "vitest";
import { depthOf, toPlanar } from "./pixels.ts";

const WHITE = [255, 255, 255] as const;

describe("toPlanar", () => {
  it("takes channels apart", () => {
    const samples = Uint8Array.of(1, 2, 3, 4, 5, 6);
    expect([...toPlanar({ samples, bands: 3, alpha: false, size: 2 }, 3, WHITE).pixels]).toEqual([1, 4, 2, 5, 3, 6]);
  });

  it("repeats grey in three channels, and leaves it as it is in one", () => {
    const samples = Uint8Array.from({ length: 256 }, (_, value) => value);
    const grey = toPlanar({ samples, bands: 1, alpha: false, size: 256 }, 1, WHITE).pixels;
    expect(grey).toEqual(samples);
    const colour = toPlanar({ samples, bands: 1, alpha: false, size: 256 }, 3, WHITE).pixels;
    expect([...colour]).toEqual([...samples, ...samples, ...samples]);
  });

  it.each([
    [[255, 0, 0], 76],
    [[0, 255, 0], 150],
    [[0, 0, 255], 29],
    [[255, 255, 255], 255],
    [[12, 200, 77], 130],
  ])("turns %j to the grey of Pillow's convert L, %i", (colour, expected) => {
    expect([
      ...toPlanar({ samples: Uint8Array.from(colour), bands: 3, alpha: false, size: 1 }, 1, WHITE).pixels,
    ]).toEqual([expected]);
  });

  it("scales 16 bits so that 257·k becomes k, and rounds between", () => {
    const samples = Uint16Array.of(0, 65535, 257 * 100, 257 * 100 + 128, 257 * 100 + 129);
    expect([...toPlanar({ samples, bands: 1, alpha: false, size: 5 }, 1, WHITE).pixels]).toEqual([
      0, 255, 100, 100, 101,
    ]);
  });

  it("lays transparent pixels on the background and says so", () => {
    const samples = Uint8Array.of(10, 20, 30, 255, 10, 20, 30, 0, 10, 20, 30, 128);
    const { pixels, transparent } = toPlanar({ samples, bands: 4, alpha: true, size: 3 }, 3, [0, 100, 200]);
    expect([...pixels]).toEqual([10, 0, 5, 20, 100, 60, 30, 200, 115]);
    expect(transparent).toBe(true);
    expect(toPlanar({ samples: samples.subarray(0, 4), bands: 4, alpha: true, size: 1 }, 3, WHITE).transparent).toBe(
      false,
    );
  });
});

describe("depthOf", () => {
  it.each([
    [[0, 255], { bits: 8, finest: true }],
    [[0, 1000], { bits: 10, finest: true }],
    [[16, 4080], { bits: 12, finest: false }],
    [[4096, 1], { bits: 14, finest: true }],
    [[65535], { bits: 16, finest: true }],
  ])("of %j is %o", (samples, depth) => {
    expect(depthOf(Uint16Array.from(samples))).toEqual(depth);
  });
});
