import { PNG } from "pngjs";
import { describe, expect, it } from "vitest";
import { INFERNO } from "../pictures/colormap.ts";
import { type ExplanationPictureInput, explanationPicture } from "./explanation-picture.ts";

function input(height: number, width: number, changes: Partial<ExplanationPictureInput> = {}): ExplanationPictureInput {
  const pixels = Float32Array.from({ length: height * width }, (_, index) => ((index * 37) % 256) / 255);
  const map = Float32Array.from({ length: height * width }, (_, index) => (index === 0 ? 1 : 0));
  return { pixels, height, width, map, ...changes };
}

const draw = (one: ExplanationPictureInput) => PNG.sync.read(Buffer.from(explanationPicture(one)));
const colour = ({ data, width }: PNG, x: number, y: number) => [
  ...data.subarray((y * width + x) * 4, (y * width + x) * 4 + 3),
];

describe("explanationPicture", () => {
  it("keeps the image's own resolution and pixels where the map is zero", () => {
    const png = draw(input(230, 250));
    expect([png.width, png.height]).toEqual([250, 230]);
    for (const [x, y] of [
      [1, 0],
      [249, 229],
      [17, 100],
    ] as const) {
      const grey = ((y * 250 + x) * 37) % 256;
      expect(colour(png, x, y)).toEqual([grey, grey, grey]);
    }
  });

  it("enlarges small images by a whole number, each pixel a square", () => {
    const png = draw(input(2, 3, { minSide: 20 }));
    expect([png.width, png.height]).toEqual([18, 12]);
    for (let y = 0; y < 12; y++) {
      for (let x = 0; x < 18; x++) {
        const pixel = Math.floor(y / 6) * 3 + Math.floor(x / 6);
        if (pixel > 0) expect(colour(png, x, y)).toEqual(Array(3).fill((pixel * 37) % 256));
      }
    }
  });

  it.each([
    [28, 28, 224, 224],
    [100, 40, 200, 80],
    [113, 113, 113, 113],
    [1, 1, 224, 224],
  ])("brings %i x %i to %i x %i", (height, width, toHeight, toWidth) => {
    const png = draw(input(height, width));
    expect([png.height, png.width]).toEqual([toHeight, toWidth]);
  });

  it("draws the map over the image, alone, or in the classic way", () => {
    const alone = draw(input(1, 2, { minSide: 1, style: "map" }));
    expect(colour(alone, 0, 0)).toEqual([...INFERNO.subarray(765)]);
    expect(colour(alone, 1, 0)).toEqual([...INFERNO.subarray(0, 3)]);
    const over = draw(input(1, 2, { minSide: 1, strength: 1 }));
    expect(colour(over, 0, 0)).toEqual([...INFERNO.subarray(765)]);
    expect(colour(over, 1, 0)).toEqual([37, 37, 37]);
    const classic = draw(input(1, 2, { minSide: 1, style: "classic" }));
    // Jet of 0 is (0, 0, 128), which gives 37 : 37 : 165, scaled so that the largest value is 255.
    expect(colour(classic, 1, 0)).toEqual([57, 57, 255]);
  });

  it("keeps the colours of a colour image", () => {
    const pixels = Float32Array.of(0, 1, 0, 0, 0, 1);
    expect(colour(draw({ pixels, map: Float32Array.of(1, 0), height: 1, width: 2, minSide: 1 }), 1, 0)).toEqual([
      255, 0, 255,
    ]);
  });

  it("crosses out a dead map from corner to corner", () => {
    const black = {
      pixels: new Float32Array(100 * 50),
      map: new Float32Array(100 * 50),
      height: 100,
      width: 50,
      minSide: 1,
    };
    const png = draw(black);
    for (const [x, y] of [
      [0, 0],
      [49, 0],
      [0, 99],
      [49, 99],
      [25, 50],
    ] as const)
      expect(colour(png, x, y)).toEqual([140, 140, 140]);
    for (const [x, y] of [
      [25, 5],
      [3, 50],
      [25, 95],
    ] as const)
      expect(colour(png, x, y)).toEqual([0, 0, 0]);
  });

  it("adds a white strip with ink below, and leaves the picture above as it was", () => {
    const plain = draw(input(224, 224));
    const png = draw(
      input(224, 224, { caption: true, name: "seven.png", prediction: "7", confidence: 0.983, label: "1" }),
    );
    expect(png.width).toBe(224);
    expect(png.height).toBeGreaterThan(250);
    expect(png.data.subarray(0, plain.data.length).equals(plain.data)).toBe(true);
    const strip = png.data.subarray(plain.data.length);
    expect(strip.filter((value, index) => index % 4 === 0 && value > 250).length).toBeGreaterThan(224 * 20);
    expect(strip.filter((value, index) => index % 4 === 1 && value < 100).length).toBeGreaterThan(100);
    const reddish = [...strip.keys()].filter(
      (at) => at % 4 === 0 && (strip[at] ?? 0) > 150 && (strip[at + 1] ?? 0) < 80,
    );
    expect(reddish.length).toBeGreaterThan(20);
  });

  it("has no strip where there is nothing to say, and survives one of a pixel's width", () => {
    expect(draw(input(224, 224, { caption: true })).height).toBe(224);
    expect(draw(input(300, 1, { caption: true, prediction: "WWWW", name: "x.png" })).width).toBe(1);
  });

  it.each<[string, Partial<ExplanationPictureInput>, string, string]>([
    ["a map of another size", { map: new Float32Array(3) }, "E_SHAPE", "image.map: a 2x2 picture must hold 4"],
    ["pixels of another size", { pixels: new Float32Array(3) }, "E_SHAPE", "image: a 2x2 picture must hold 4"],
    ["a confidence below 0", { confidence: -1 }, "E_ARGUMENT", "confidence must be a number from 0 to 1, got -1"],
    ["a side of nothing", { minSide: 0 }, "E_ARGUMENT", "minSide must be an integer from 1 to 4096, got 0"],
  ])("refuses %s", (_, changes, code, message) => {
    expect(() => explanationPicture(input(2, 2, changes))).toThrow(
      expect.objectContaining({ name: "BatchCamError", code, message: expect.stringContaining(message) }),
    );
  });
});
