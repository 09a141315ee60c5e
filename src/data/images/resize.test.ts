import { readFileSync } from "node:fs";
import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { cropOrPad, innerSize, resizeBilinear } from "./resize.ts";

interface Case {
  fit: "fill" | "cover";
  channels: 1 | 3;
  from: [number, number];
  to: [number, number];
  resized: number[];
}

const CASES = JSON.parse(
  readFileSync(new URL("../../../test/fixtures/inputs/torchvision-resize.json", import.meta.url), "utf8"),
) as Case[];

/** The image of `make-data-fixtures.py` as (C, H, W); there it is stored as (H, W, C). */
function imageOf(channels: number, height: number, width: number) {
  const interleaved = Uint8Array.from({ length: height * width * channels }, (_, i) => Math.imul(i, 2654435761) >>> 24);
  const pixels = new Uint8Array(interleaved.length);
  for (let i = 0; i < interleaved.length; i++)
    pixels[(i % channels) * height * width + Math.floor(i / channels)] = interleaved[i] as number;
  return { pixels, height, width, interleaved };
}

describe("resizeBilinear", () => {
  it.each(
    CASES.map((one) => [`${one.fit} ${one.channels}x${one.from.join("x")} to ${one.to.join("x")}`, one] as const),
  )("agrees with torchvision to half a level: %s", (_, { fit, channels, from: [height, width], to, resized }) => {
    const image = imageOf(channels, height, width);
    const { pixels } = cropOrPad(resizeBilinear(image, innerSize(image, to, fit)), to, [0, 0, 0]);
    const worst = resized.reduce((most, value, i) => Math.max(most, Math.abs(value - (pixels[i] as number))), 0);
    expect(worst).toBeLessThan(0.502);
  });

  it("keeps an image of one value as it is, at every size", () => {
    const side = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(side, side, side, side, fc.nat(255), (height, width, newHeight, newWidth, value) => {
        const image = { pixels: new Uint8Array(height * width).fill(value), height, width };
        const { pixels } = resizeBilinear(image, [newHeight, newWidth]);
        expect(pixels).toEqual(new Uint8Array(newHeight * newWidth).fill(value));
      }),
    );
  });

  it("mirrors the result if the image is mirrored: nothing is shifted", () => {
    const side = fc.integer({ min: 1, max: 20 });
    fc.assert(
      fc.property(side, side, (width, newWidth) => {
        const { pixels } = imageOf(1, 1, width);
        const forward = resizeBilinear({ pixels, height: 1, width }, [1, newWidth]).pixels;
        const back = resizeBilinear({ pixels: pixels.toReversed(), height: 1, width }, [1, newWidth]).pixels;
        for (const [i, value] of back.toReversed().entries())
          expect(Math.abs(value - (forward[i] as number))).toBeLessThan(2); // halves are rounded up on both sides
      }),
    );
  });

  it("differs by at most 3 levels from libvips, which makes photos smaller, where an image is smooth", async () => {
    const [side, small] = [300, 64];
    const waves = (i: number) => 128 + 100 * Math.sin((i % side) / 25) * Math.cos(Math.floor(i / side) / 33);
    const pixels = Uint8Array.from({ length: side * side }, (_, i) => waves(i));
    const raw = { width: side, height: side, channels: 1 } as const;
    const libvips = await sharp(pixels, { raw })
      .resize({ height: small, width: small, fit: "fill", kernel: "linear" })
      .toColourspace("b-w")
      .raw()
      .toBuffer();
    const own = resizeBilinear({ pixels, height: side, width: side }, [small, small]).pixels;
    for (const [i, value] of own.entries()) expect(Math.abs(value - (libvips[i] as number))).toBeLessThanOrEqual(3);
  });
});
