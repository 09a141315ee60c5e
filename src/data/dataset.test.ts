import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { memory } from "../tensor/index.ts";
import { type Dataset, disposeDataset } from "./dataset.ts";
import { loadDataset } from "./load-dataset.ts";

describe("an option that a data set would ignore", () => {
  it.each([
    ["mnist", { imageSize: 32 }],
    ["mnist", { imageChannels: 3 }],
    ["fashion-mnist", { decoyVariant: "cdep" }],
    ["npz", { badImages: "skip", dataDir: "x.npz" }],
    ["mnist", { seed: 1 }],
  ] as const)("of %s, %o, is refused", async (name, options) => {
    await expect(loadDataset(name, options)).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(
        /^loadDataset: \w+ is for the data sets .*, and .* does not use it: leave it out$/,
      ),
    });
  });
});

describe("loadDataset", () => {
  let live: number;
  let mnist: Dataset;
  beforeAll(async () => {
    live = memory().liveTensors;
    mnist = await loadDataset("mnist");
  });
  afterAll(() => disposeDataset(mnist));

  it("holds each split of MNIST in one uint8 and one int64 tensor, and nothing else", () => {
    expect(memory().liveTensors - live).toBe(4);
    expect([mnist.train.images.dtype, mnist.train.labels.dtype]).toEqual(["uint8", "int64"]);
    expect(mnist.train.images.shape).toEqual([60_000, 1, 28, 28]);
    expect(mnist.test.images.shape).toEqual([10_000, 1, 28, 28]);
    expect(mnist.test.labels.shape).toEqual([10_000]);
    expect([mnist.train.name, mnist.test.name]).toEqual(["train", "test"]);
    expect(mnist.numClasses).toBe(10);
    expect(mnist.train.classNames).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
  });

  it("normalises by the statistics of the training images", () => {
    const counts = new Float64Array(256);
    for (const pixel of mnist.train.images.data() as Uint8Array) (counts[pixel] as number)++;
    const moment = (power: number) =>
      counts.reduce((sum, count, pixel) => sum + count * (pixel / 255) ** power, 0) / mnist.train.images.numel;
    expect(mnist.normalization.mean[0]).toBeCloseTo(moment(1), 12);
    expect(mnist.normalization.std[0]).toBeCloseTo(Math.sqrt(moment(2) - moment(1) ** 2), 12);
  });

  it("frees every tensor on request", async () => {
    const before = memory().liveTensors;
    disposeDataset(await loadDataset("mnist"));
    expect(memory().liveTensors).toBe(before);
  });

  it.each([
    [
      "minst",
      /name must be one of "mnist", "fashion-mnist", "decoy-mnist", "decoy-fashion-mnist", "color-mnist", "folder", "csv", "npz", got "minst" \(did you mean "mnist"\?\)/,
    ],
    [
      "MNIST",
      /name must be one of "mnist", "fashion-mnist", "decoy-mnist", "decoy-fashion-mnist", "color-mnist", "folder", "csv", "npz", got "MNIST" \(did you mean "mnist"\?\)/,
    ],
    ["imagenet", /got "imagenet"$/],
    ["toString", /got "toString"$/],
  ])("answers the unknown name %s with the known ones", async (name, message) => {
    await expect(loadDataset(name)).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(message),
    });
  });

  it("reports missing files of a folder as data errors and leaves no tensor allocated", async () => {
    const folder = temporaryFolder("dataset");
    const before = memory().liveTensors;
    await expect(loadDataset("mnist", { dataDir: folder })).rejects.toMatchObject({ code: "E_DATA" });
    expect(memory().liveTensors).toBe(before);
  });
});
