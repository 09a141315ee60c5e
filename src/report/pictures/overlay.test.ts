import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BatchCamError } from "../../errors.ts";
import { type Colormap, colormapTable, INFERNO, level } from "./colormap.ts";
import { classicOverlay, overlay } from "./overlay.ts";

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
    ["an unknown colour map", () => overlay(grey, grey, { ...size, colormap: "hot" as Colormap }), "E_ARGUMENT"],
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

describe("classicOverlay", () => {
  const size = { height: 1, width: 2 };

  it("is show_cam_on_image: w·image + (1 − w)·jet(map), divided by its largest value", () => {
    const image = Float32Array.of(0.2, 0.9, 0.4, 0.1, 0.6, 0.5);
    const map = Float32Array.of(1, 0.5);
    const jet = [...map].map((value) => [...colormapTable("jet").subarray(level(value) * 3, level(value) * 3 + 3)]);
    for (const imageWeight of [0, 0.3, 0.5, 1]) {
      const sum = [0, 1, 2].flatMap((channel) =>
        [0, 1].map((pixel) => {
          const colour = (jet[pixel]?.[channel] ?? 0) / 255;
          return imageWeight * (image[channel * 2 + pixel] ?? 0) + (1 - imageWeight) * colour;
        }),
      );
      classicOverlay(image, map, { ...size, imageWeight }).forEach((value, index) => {
        expect(value).toBeCloseTo((sum[index] ?? 0) / Math.max(...sum), 6);
      });
    }
  });

  it("takes half of a grey image and half of jet by default", () => {
    const half = classicOverlay(Float32Array.of(0.5, 1), Float32Array.of(0, 1), size);
    expect(half).toEqual(
      classicOverlay(Float32Array.of(0.5, 1), Float32Array.of(0, 1), { ...size, imageWeight: 0.5, colormap: "jet" }),
    );
    expect(Math.max(...half)).toBe(1);
  });

  it("stays black, not NaN, where everything is black", () => {
    const black = classicOverlay(new Float32Array(2), new Float32Array(2), { ...size, imageWeight: 1 });
    expect([...black]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it("refuses a weight outside [0, 1] and a map of another size", () => {
    const image = new Float32Array(2);
    expect(codeOf(() => classicOverlay(image, image, { ...size, imageWeight: -0.1 }))).toBe("E_ARGUMENT");
    expect(codeOf(() => classicOverlay(image, new Float32Array(3), size))).toBe("E_SHAPE");
  });
});
