import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { memory, tensor } from "../../tensor/index.ts";
import { disposeSplit, prototypes, type SplitOptions, splitOf } from "../index.ts";

let live: number;
beforeEach(() => {
  live = memory().liveTensors;
});
afterEach(() => expect(memory().liveTensors).toBe(live));

const images = (shape = [3, 1, 2, 2]) =>
  tensor(
    Uint8Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => (i * 17) % 256),
    { shape, dtype: "uint8" },
  );
const labels = (...values: number[]) => tensor(BigInt64Array.from(values, BigInt), { shape: [values.length] });

describe("splitOf", () => {
  it("makes a split of tensors, with the statistics of its pixels and numbers for names", async () => {
    const split = splitOf(images(), labels(0, 2, 1));
    expect(split).toMatchObject({ name: "train", numClasses: 3, classNames: ["0", "1", "2"] });
    const pixels = Array.from({ length: 12 }, (_, i) => (i * 17) / 255);
    const mean = pixels.reduce((sum, value) => sum + value, 0) / 12;
    expect(split.normalization.mean[0]).toBeCloseTo(mean, 12);
    expect(split.normalization.std[0]).toBeCloseTo(
      Math.sqrt(pixels.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 12),
      12,
    );
    const means = await prototypes(split);
    expect(means.shape).toEqual([3, 2, 2]);
    means.dispose();
    disposeSplit(split);
  });

  it("takes what it is told", () => {
    const normalization = { mean: [0.5], std: [0.25] };
    const split = splitOf(images(), labels(0, 0, 1), { numClasses: 3, classNames: ["a", "b", "c"], normalization });
    expect(split).toMatchObject({ numClasses: 3, classNames: ["a", "b", "c"], normalization });
    disposeSplit(split);
  });

  it.each<[string, number[], number[], SplitOptions, string, RegExp]>([
    ["images of another rank", [3, 2, 2], [0, 1, 0], {}, "E_SHAPE", /splitOf: images must be/],
    ["labels of another number", [3, 1, 2, 2], [0, 1], {}, "E_SHAPE", /labels must be \[N=3\], got \[2\]/],
    [
      "a label that is no class",
      [3, 1, 2, 2],
      [0, 1, 5],
      { numClasses: 2 },
      "E_ARGUMENT",
      /label 2 must be 0 to 1, got 5/,
    ],
    ["a negative label", [3, 1, 2, 2], [0, 1, -1], {}, "E_ARGUMENT", /label 2 must be 0 to 1, got -1/],
    ["names of another number", [3, 1, 2, 2], [0, 1, 1], { numClasses: 2, classNames: ["a"] }, "E_ARGUMENT", /2 names/],
    ["an unknown option", [3, 1, 2, 2], [0, 1, 1], { classes: 2 } as never, "E_ARGUMENT", /unknown option classes/],
  ])("refuses %s", (_, shape, values, options, code, message) => {
    const [x, y] = [images(shape), labels(...values)];
    expect(() => splitOf(x, y, options)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
    x.dispose();
    y.dispose();
  });

  it("refuses floats for images and bytes for labels", () => {
    const [x, y] = [images(), labels(0, 1, 1)];
    const [floats, bytes] = [x.to("float32"), y.to("uint8")];
    expect(() => splitOf(floats, y)).toThrow(/images must be uint8, 0 to 255, got float32/);
    expect(() => splitOf(x, bytes)).toThrow(/labels must be int64, got uint8/);
    for (const t of [x, y, floats, bytes]) t.dispose();
  });
});
