import { PNG } from "pngjs";
import { describe, expect, it } from "vitest";
import { channelsOf, isDead } from "./picture.ts";
import { encodePng, pngAddress, scaleAddress } from "./png.ts";

function decode(address: string): PNG {
  expect(address).toMatch(/^data:image\/png;base64,/);
  return PNG.sync.read(Buffer.from(address.split(",")[1] ?? "", "base64"));
}

describe("pngAddress", () => {
  it("writes a grey image pixel by pixel", () => {
    const png = decode(pngAddress({ pixels: Float32Array.of(0, 1, 0.5), height: 1, width: 3 }));
    expect([png.width, png.height]).toEqual([3, 1]);
    expect([...png.data]).toEqual([0, 0, 0, 255, 255, 255, 255, 255, 128, 128, 128, 255]);
  });

  it("takes the channels of a colour image from their planes", () => {
    const pixels = Float32Array.of(1, 0, 0, 1, 0, 0);
    const png = decode(pngAddress({ pixels, height: 1, width: 2 }));
    expect([...png.data]).toEqual([255, 0, 0, 255, 0, 255, 0, 255]);
  });

  it("draws a map in inferno", () => {
    const png = decode(pngAddress({ pixels: Float32Array.of(0, 1), height: 2, width: 1 }, "inferno"));
    expect([...png.data]).toEqual([0, 0, 4, 255, 252, 255, 164, 255]);
  });

  it("clamps what is out of range and makes what is not finite transparent", () => {
    const pixels = Float32Array.of(-1, 2, Number.NaN, Infinity);
    const png = decode(pngAddress({ pixels, height: 1, width: 4 }));
    expect(png.data[0]).toBe(0);
    expect(png.data[4]).toBe(255);
    expect([3, 7, 11, 15].map((index) => png.data[index])).toEqual([255, 255, 0, 0]);
  });
});

describe("scaleAddress", () => {
  it("runs from the colour of 0 to the colour of 1", () => {
    const png = decode(scaleAddress());
    expect([png.width, png.height]).toEqual([256, 1]);
    expect([...png.data.subarray(0, 3)]).toEqual([0, 0, 4]);
    expect([...png.data.subarray(255 * 4, 255 * 4 + 3)]).toEqual([252, 255, 164]);
  });
});

describe("encodePng", () => {
  it("writes opaque colours that come back as they were, a view of a larger array too", () => {
    const rgb = Uint8Array.from({ length: 3 * 50 * 20 + 3 }, (_, index) => (index * 7919) % 256).subarray(3);
    const png = PNG.sync.read(Buffer.from(encodePng(rgb, { width: 50, height: 20 })));
    expect([png.width, png.height]).toEqual([50, 20]);
    expect(png.data.filter((_, index) => index % 4 !== 3)).toEqual(Buffer.from(rgb));
    expect(png.data.every((value, index) => index % 4 !== 3 || value === 255)).toBe(true);
  });
});

describe("channelsOf", () => {
  it("tells grey from colour by the length", () => {
    expect(channelsOf({ pixels: new Float32Array(6), height: 2, width: 3 }, "test")).toBe(1);
    expect(channelsOf({ pixels: new Float32Array(18), height: 2, width: 3 }, "test")).toBe(3);
  });

  it.each([-1, 0, 1.5, Number.NaN, Infinity])("refuses the height %d", (height) => {
    const picture = { pixels: new Float32Array(4), height, width: 2 };
    expect(() => channelsOf(picture, "test")).toThrow(`test: height must be a positive whole number, got ${height}`);
  });

  it("refuses pixels of another kind, naming the kind", () => {
    const picture = { pixels: new Uint8Array(4) as unknown as Float32Array, height: 2, width: 2 };
    expect(() => channelsOf(picture, "test")).toThrow(
      "pixels must be a Float32Array with values from 0 to 1, got Uint8Array",
    );
    expect(() => channelsOf({ ...picture, pixels: undefined as unknown as Float32Array }, "test")).toThrow(
      "got undefined",
    );
  });
});

describe("isDead", () => {
  it("is true for zeros only", () => {
    expect(isDead(new Float32Array(4))).toBe(true);
    expect(isDead(Float32Array.of(0, 0, 1e-9))).toBe(false);
    expect(isDead(Float32Array.of(0, Number.NaN))).toBe(false);
  });
});
