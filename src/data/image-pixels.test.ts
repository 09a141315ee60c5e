import { describe, expect, it } from "vitest";
import { pad, toPlanar } from "./image-pixels.ts";

const WHITE = [255, 255, 255] as const;

describe("toPlanar", () => {
  it("takes channels apart", () => {
    const samples = Uint8Array.of(1, 2, 3, 4, 5, 6);
    expect([...toPlanar({ samples, bands: 3, size: 2 }, 3, WHITE).pixels]).toEqual([1, 4, 2, 5, 3, 6]);
  });

  it("repeats grey in three channels, and leaves it as it is in one", () => {
    const samples = Uint8Array.from({ length: 256 }, (_, value) => value);
    const grey = toPlanar({ samples, bands: 1, size: 256 }, 1, WHITE).pixels;
    expect(grey).toEqual(samples);
    const colour = toPlanar({ samples, bands: 1, size: 256 }, 3, WHITE).pixels;
    expect([...colour]).toEqual([...samples, ...samples, ...samples]);
  });

  it.each([
    [[255, 0, 0], 76],
    [[0, 255, 0], 150],
    [[0, 0, 255], 29],
    [[255, 255, 255], 255],
    [[12, 200, 77], 130],
  ])("turns %j to the grey of Pillow's convert L, %i", (colour, expected) => {
    expect([...toPlanar({ samples: Uint8Array.from(colour), bands: 3, size: 1 }, 1, WHITE).pixels]).toEqual([expected]);
  });

  it("scales 16 bits so that 257·k becomes k, and rounds between", () => {
    const samples = Uint16Array.of(0, 65535, 257 * 100, 257 * 100 + 128, 257 * 100 + 129);
    expect([...toPlanar({ samples, bands: 1, size: 5 }, 1, WHITE).pixels]).toEqual([0, 255, 100, 100, 101]);
  });

  it("lays transparent pixels on the background and says so", () => {
    const samples = Uint8Array.of(10, 20, 30, 255, 10, 20, 30, 0, 10, 20, 30, 128);
    const { pixels, transparent } = toPlanar({ samples, bands: 4, size: 3 }, 3, [0, 100, 200]);
    expect([...pixels]).toEqual([10, 0, 5, 20, 100, 60, 30, 200, 115]);
    expect(transparent).toBe(true);
    expect(toPlanar({ samples: samples.subarray(0, 4), bands: 4, size: 1 }, 3, WHITE).transparent).toBe(false);
  });
});

describe("pad", () => {
  it("centres a picture in each channel", () => {
    const pixels = Uint8Array.of(1, 2, 3, 4, 5, 6);
    const padded = pad({ pixels, height: 1, width: 2 }, [3, 4], [7, 8, 9]);
    expect([...padded.subarray(0, 12)]).toEqual([7, 7, 7, 7, 7, 1, 2, 7, 7, 7, 7, 7]);
    expect([...padded.subarray(24)]).toEqual([9, 9, 9, 9, 9, 5, 6, 9, 9, 9, 9, 9]);
  });

  it("fills the margins of a grey picture with the background's luma", () => {
    expect([...pad({ pixels: Uint8Array.of(5), height: 1, width: 1 }, [1, 3], [255, 0, 0])]).toEqual([76, 5, 76]);
  });
});
