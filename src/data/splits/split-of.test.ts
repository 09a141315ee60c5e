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

  it("accepts the values that it is given", () => {
    const normalization = { mean: [0.5], std: [0.25] };
    const split = splitOf(images(), labels(0, 0, 1), { numClasses: 3, classNames: ["a", "b", "c"], normalization });
    expect(split).toMatchObject({ numClasses: 3, classNames: ["a", "b", "c"], normalization });
    disposeSplit(split);
  });

  it.each<[string, number[], number[], SplitOptions, string, RegExp]>([
    [
      "images of another rank",
      [3, 4],
      [0, 1, 0],
      {},
      "E_SHAPE",
      /splitOf: images must be \(N, C, H, W\), .*got \[3, 4\]/,
    ],
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
    [
      "names that are equal",
      [3, 1, 2, 2],
      [0, 1, 1],
      { classNames: ["a", "a"] },
      "E_ARGUMENT",
      /different names, got "a, a"/,
    ],
    ["no class", [3, 1, 2, 2], [0, 1, 1], { numClasses: 0 }, "E_ARGUMENT", /numClasses must be an integer >= 1, got 0/],
    [
      "another number of channels",
      [3, 1, 2, 2],
      [0, 1, 1],
      { channels: 3 },
      "E_ARGUMENT",
      /channels: expected 1, .*got 3/,
    ],
    [
      "a normalisation of another number of channels",
      [3, 1, 2, 2],
      [0, 1, 1],
      { normalization: { mean: [0.5, 0.5], std: [1, 1] } },
      "E_ARGUMENT",
      /splitOf: normalization\.mean: expected a list of 1 or 1/,
    ],
    ["an unknown order", [3, 1, 2, 2], [0, 1, 1], { layout: "CHWN" } as never, "E_ARGUMENT", /"NCHW" or "NHWC"/],
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

  it("takes floats in [0, 1] and rounds them to bytes", () => {
    const x = tensor(Float32Array.of(0, 0.25, 0.5, 1), { shape: [1, 1, 2, 2] });
    const wide = x.to("float64");
    const y = labels(0);
    for (const given of [x, wide]) {
      const split = splitOf(given, y);
      expect(split.images.dtype).toBe("uint8");
      expect([...(split.images.data() as Uint8Array)]).toEqual([0, 64, 128, 255]);
      split.images.dispose();
    }
    for (const t of [x, wide, y]) t.dispose();
  });

  it.each([
    ["NaN", [0, Number.NaN, 1, 1], /with values from NaN/],
    ["normalised pixels", [-1.5, 0, 1, 1], /from -1.5 to 1; float images must be in \[0, 1\]/],
    ["0 to 255", [0, 10, 200, 255], /from 0 to 255; float images must be in \[0, 1\]/],
  ])("refuses floats of %s", (_, values, message) => {
    expect(() => splitOf(Float32Array.from(values), [0])).toThrow(
      expect.objectContaining({ code: "E_DTYPE", message: expect.stringMatching(message) }),
    );
  });

  it("takes typed arrays and lists of labels, channels first or last", () => {
    const bytes = Uint8Array.from({ length: 24 }, (_, i) => i);
    const made = [
      splitOf(bytes, [0, 1]), // two squares of 2x2 in three channels
      splitOf(bytes, Uint8Array.of(0, 1), { layout: "NHWC" }),
      splitOf(bytes, BigInt64Array.of(0n, 1n), { size: [3, 4] }),
      splitOf(Uint8ClampedArray.from(bytes), Int32Array.of(0, 1), { channels: 3 }),
      splitOf(
        Float32Array.from(bytes, (value) => value / 255),
        [0, 1],
        { size: [2, 2], channels: 3 },
      ),
    ];
    expect(made.map(({ images }) => images.shape)).toEqual([
      [2, 3, 2, 2],
      [2, 3, 2, 2],
      [2, 1, 3, 4],
      [2, 3, 2, 2],
      [2, 3, 2, 2],
    ]);
    const values = made.map(({ images }) => [...(images.data() as Uint8Array)]);
    for (const place of [0, 2, 3, 4]) expect(values[place]).toEqual([...bytes]);
    expect(values[1]?.slice(0, 4)).toEqual([0, 3, 6, 9]);
    for (const split of made) disposeSplit(split);
  });

  it("takes tensors (N, H, W) and (N, H, W, C)", () => {
    const grey = images([3, 5, 5]);
    const colour = images([3, 5, 5, 3]);
    const y = labels(0, 1, 0);
    const [one, three] = [splitOf(grey, y), splitOf(colour, y)];
    expect([one.images.shape, three.images.shape]).toEqual([
      [3, 1, 5, 5],
      [3, 3, 5, 5],
    ]);
    expect([...(three.images.data() as Uint8Array)].slice(0, 3)).toEqual([0, 51, 102]);
    expect(three.normalization.mean).toHaveLength(3);
    for (const t of [grey, colour, y, one.images, three.images]) t.dispose();
  });

  it.each<[string, Uint8Array, number[], SplitOptions, RegExp]>([
    [
      "a length that the labels do not divide",
      new Uint8Array(7),
      [0, 1],
      {},
      /as many values for each of the 2 labels, got 7/,
    ],
    [
      "values that are no square",
      new Uint8Array(12),
      [0, 1],
      {},
      /6 values each, which square images do not have: give \{ size/,
    ],
    [
      "values of another size",
      new Uint8Array(16),
      [0, 1],
      { size: [3, 3] },
      /8 values each, which images of 3x3 do not have/,
    ],
  ])("refuses a typed array with %s", (_, bytes, own, options, message) => {
    expect(() => splitOf(bytes, own, options)).toThrow(
      expect.objectContaining({ code: "E_SHAPE", message: expect.stringMatching(message) }),
    );
  });

  it("refuses a value that is neither a tensor nor a typed array, and labels that are not classes", () => {
    expect(() => splitOf([[1, 2]] as never, [0])).toThrow(/images: expected a tensor, or a typed array/);
    expect(() => splitOf(new Uint8Array(4), [0.5])).toThrow(/label 0 must be a class index, got 0.5/);
    expect(() => splitOf(new Uint8Array(4), "0" as never)).toThrow(/labels: expected a tensor or an array/);
    expect(() => splitOf(new Uint8Array(4), undefined as never)).toThrow(
      /splitOf: labels: expected a tensor or an array of class numbers, got undefined/,
    );
  });
});
