import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { fixture } from "../../../test/support/fixtures.ts";
import { memory, rand, type Tensor, tensor, tidy } from "../../tensor/index.ts";
import type { Dataset } from "../dataset.ts";
import type { Split } from "../splits/split.ts";
import { classCounts, classMeanImages, prototypes } from "./prototypes.ts";

function splitOf(images: Tensor, labels: number[], numClasses: number): Split {
  return {
    name: "train",
    images,
    labels: tensor(BigInt64Array.from(labels, BigInt)),
    numClasses,
    classNames: Array.from({ length: numClasses }, (_, i) => `class ${i}`),
    normalization: { mean: [0.5], std: [0.5] },
  };
}

/** One-pixel uint8 images. */
function pixels(values: number[], labels: number[], numClasses = 2): Split {
  return splitOf(tensor(Uint8Array.from(values), { shape: [values.length, 1, 1, 1] }), labels, numClasses);
}

const free = (split: Split) => {
  split.images.dispose();
  split.labels.dispose();
};

let live: number;
beforeEach(() => {
  live = memory().liveTensors;
});
afterEach(() => expect(memory().liveTensors).toBe(live));

describe("classMeanImages", () => {
  it("agrees with the torch reference, a class without images included", () => {
    const { tensor: stored, reference, tolerance } = fixture("class_mean_images");
    tidy(() => {
      const means = classMeanImages(stored("input/x"), stored("input/y"), 4);
      expect(means.dtype).toBe("float32");
      expect(means).toBeAllclose(reference("out/mean"), tolerance);
      expect(classCounts(stored("input/y"), 4)).toBeAllclose(stored("out/count"));
    });
  });

  it("reads uint8 images as 0 to 255, exactly, over more images than one step takes", () => {
    tidy(() => {
      const count = 9000;
      const images = rand([count, 1, 28, 28]).mul(256).to("uint8");
      const labels = tensor(Int32Array.from({ length: count }, (_, i) => i % 2));
      const expected = images
        .to("float64")
        .reshape([count / 2, 2, 1, 28, 28])
        .mean([0])
        .div(255);
      expect(classMeanImages(images, labels, 2)).toBeAllclose(expected, { rtol: 1e-7, atol: 0 });
    });
  });

  it.each([
    [[4, 1, 2, 2], [3]],
    [[4, 2, 2], [4]],
    [
      [4, 1, 2, 2],
      [4, 1],
    ],
  ])("refuses images %o with labels %o", (images, labels) => {
    tidy(() => {
      const zeros = tensor(new Int32Array(labels.reduce((a, b) => a * b)), { shape: labels });
      expect(() => classMeanImages(rand(images), zeros, 2)).toThrow(/classMeanImages: (images|labels) must be \[/);
    });
  });

  it.each([-1, 2])("refuses the label %i of 2 classes", (label) => {
    tidy(() => {
      const labels = tensor(Int32Array.of(label));
      expect(() => classMeanImages(rand([1, 1, 2, 2]), labels, 2)).toThrow(/classCounts: .*0 to 1/);
    });
  });
});

describe("prototypes", () => {
  it("are the mean images of the training split, in [0,1]", async () => {
    const train = pixels([0, 255, 51, 102], [0, 0, 1, 1]);
    using result = await prototypes({ train, test: train } as unknown as Dataset);
    expect(result).toBeAllclose([[[0.5]], [[0.3]]], { rtol: 1e-6 });
    expect(result.dtype).toBe("float32");
    free(train);
  });

  it.each([
    ["of an odd number", [255, 0, 51], 0.2],
    ["of an even number, between the two middle ones", [255, 0, 51, 102], 0.3],
    ["of one", [51], 0.2],
    ["of two", [0, 255], 0.5],
  ])("take the median %s", async (_, values, expected) => {
    const split = pixels(
      values,
      values.map(() => 0),
      1,
    );
    using result = await prototypes(split, { statistic: "median" });
    expect(result).toBeAllclose([[[expected]]], { rtol: 1e-6 });
    free(split);
  });

  it("leave out a share at each end of every pixel's values", async () => {
    const values = [255, 10, 20, 30, 40, 50, 60, 70, 80, 0];
    const split = pixels(
      values,
      values.map(() => 0),
      1,
    );
    for (const [trim, cut] of [
      [0.1, 1],
      [0.25, 2],
      [0.49, 4],
      [0, 0],
    ] as const) {
      using result = await prototypes(split, { statistic: "trimmed", trim });
      const kept = values.toSorted((a, b) => a - b).slice(cut, values.length - cut);
      const expected = kept.reduce((sum, value) => sum + value, 0) / kept.length / 255;
      expect(result).toBeAllclose([[[expected]]], { rtol: 1e-6 });
    }
    free(split);
  });

  it("take the statistic of each channel, then the mean of the channels", async () => {
    const images = tensor(Uint8Array.of(0, 255, 51, 51, 102, 0), { shape: [3, 2, 1, 1] });
    const split = splitOf(images, [0, 0, 0], 1);
    using mean = await prototypes(split);
    using median = await prototypes(split, { statistic: "median" });
    expect(mean).toBeAllclose([[[0.3]]], { rtol: 1e-6 });
    expect(median).toBeAllclose([[[0.2]]], { rtol: 1e-6 });
    free(split);
  });

  it("work pixel block by pixel block where a class is large", async () => {
    const count = 12_000;
    const images = tidy(() => rand([count, 1, 28, 28]).mul(256).to("uint8"));
    const split = splitOf(images, Array(count).fill(0), 1);
    using result = await prototypes(split, { statistic: "median" });
    tidy(() => {
      const sorted = images
        .reshape([count, 784])
        .sort(0)
        .values.narrow(0, count / 2 - 1, 2);
      expect(result.reshape([784])).toBeAllclose(sorted.to("float64").mean([0]).div(255), { rtol: 1e-6 });
    });
    free(split);
  });

  it.each(["mean", "median", "trimmed"] as const)(
    "are zeros for an absent class, and say so (%s)",
    async (statistic) => {
      const split = pixels([255, 255], [0, 2], 4);
      const onWarning = vi.fn();
      using result = await prototypes(split, { statistic, onWarning });
      expect(result).toBeAllclose([[[1]], [[0]], [[1]], [[0]]]);
      const message = 'prototypes: no train image of classes "class 1", "class 3"; the prototype is all zeros';
      expect(onWarning.mock.calls).toEqual([[message]]);
      free(split);
    },
  );

  it("warn through the process where nobody listens", async () => {
    const emitted = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const split = pixels([255], [0]);
    (await prototypes(split)).dispose();
    expect(emitted).toHaveBeenCalledOnce();
    emitted.mockRestore();
    free(split);
  });

  it.each(["mean", "median", "trimmed"] as const)("refuse images with NaN or infinity (%s)", async (statistic) => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const split = splitOf(tensor([[[[bad]]], [[[0.5]]], [[[0.5]]]]), [0, 0, 0], 1);
      await expect(prototypes(split, { statistic })).rejects.toMatchObject({ code: "E_NUMERIC" });
      free(split);
    }
  });

  it.each([
    [{ statistic: "mode" as never }, /statistic must be "mean", "median" or "trimmed", got "mode"/],
    [{ statistic: "trimmed" as const, trim: 0.5 }, /trim must be a share in \[0, 0\.5\), got 0\.5/],
    [{ trim: Number.NaN }, /trim must be .* got NaN/],
  ])("refuse %o", async (options, message) => {
    const split = pixels([1, 2], [0, 1]);
    await expect(prototypes(split, options)).rejects.toMatchObject({
      code: "E_ARGUMENT",
      message: expect.stringMatching(message),
    });
    free(split);
  });
});
