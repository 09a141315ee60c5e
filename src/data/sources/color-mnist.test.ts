import { describe, expect, it } from "vitest";
import { disposeDataset, loadDataset } from "../index.ts";
import { CLASS_COLORS, colorClasses } from "./color-mnist.ts";

describe("colours of classes", () => {
  it("go from red to purple in ten equal steps, as the recipe's library gives them", () => {
    const bytes = CLASS_COLORS.map((color) => color.map((share) => Math.round(share * 255)));
    expect(bytes[0]).toEqual([255, 0, 0]);
    expect(bytes[9]).toEqual([128, 0, 128]);
    // Made with the Python package colour 0.1.5: [c.rgb for c in Color("red").range_to(Color("purple"), 10)], times 255
    expect(bytes).toEqual([
      ...[
        [255, 0, 0],
        [241, 134, 0],
        [202, 227, 0],
        [71, 213, 0],
        [0, 199, 44],
      ],
      ...[
        [0, 184, 143],
        [0, 114, 170],
        [0, 17, 156],
        [63, 0, 142],
        [128, 0, 128],
      ],
    ]);
    expect(new Set(bytes.map(String)).size).toBe(10);
  });
});

describe("colorClasses", () => {
  const split = {
    shape: [2, 1, 2, 2],
    images: Uint8Array.from([0, 255, 128, 1, 255, 0, 0, 200]),
    labels: Uint8Array.from([0, 9]),
  } as const;

  it("paints grey in the class's colour, in the test in that of class 9 - y", () => {
    const train = colorClasses(split, "train");
    expect(train.shape).toEqual([2, 3, 2, 2]);
    expect([...train.images.subarray(0, 12)]).toEqual([0, 255, 128, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    const test = colorClasses(split, "test");
    expect([...test.images.subarray(12, 24)]).toEqual([255, 0, 0, 200, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect([...test.images.subarray(0, 4)]).toEqual([0, 128, 64, 1]);
  });

  it("refuses images that have colours already", () => {
    expect(() => colorClasses({ ...split, shape: [2, 3, 2, 2] }, "train")).toThrow(/expected grey images/);
  });
});

describe("color-mnist", () => {
  it("is MNIST with three channels, whose colour tells the class in training alone", async () => {
    const set = await loadDataset("color-mnist");
    expect(set.train.images.shape).toEqual([60000, 3, 28, 28]);
    expect(set.test.images.shape).toEqual([10000, 3, 28, 28]);
    expect(set.normalization.mean).toHaveLength(3);
    disposeDataset(set);
  });
});
