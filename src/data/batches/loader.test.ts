import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { manualSeed, memory, type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { disposeSplit, type Split } from "../splits/split.ts";
import { batchCount, batches, batchIndices, gatherBatch, gatherPixels, normalize } from "./loader.ts";

const flat = (parts: Int32Array[]) => parts.flatMap((part) => [...part]);
const ascending = (numbers: number[]) => numbers.toSorted((a, b) => a - b);

describe("batchIndices", () => {
  const plans = fc.record({
    count: fc.nat({ max: 200 }),
    batchSize: fc.integer({ min: 1, max: 50 }),
    seed: fc.nat(),
    epoch: fc.nat({ max: 100 }),
  });

  it("visits every image once an epoch", () => {
    fc.assert(
      fc.property(plans, ({ count, ...plan }) => {
        const parts = batchIndices(count, plan);
        expect(parts.length).toBe(batchCount(count, plan));
        expect(ascending(flat(parts))).toEqual([...Array(count).keys()]);
        for (const part of parts.slice(0, -1)) expect(part.length).toBe(plan.batchSize);
      }),
    );
  });

  it("resumes at any batch with exactly the batches that an epoch from its start has there", () => {
    fc.assert(
      fc.property(plans, fc.nat(), ({ count, ...plan }, start) => {
        const whole = batchIndices(count, plan);
        const startBatch = start % (whole.length + 1);
        expect(batchIndices(count, { ...plan, startBatch })).toEqual(whole.slice(startBatch));
      }),
    );
  });

  it("gives the same order on every machine, whatever the engine's generator", () => {
    manualSeed(1);
    const first = batchIndices(10, { batchSize: 10, seed: 3, epoch: 2 });
    manualSeed(2);
    expect(batchIndices(10, { batchSize: 10, seed: 3, epoch: 2 })).toEqual(first);
    expect(flat(first)).toEqual([7, 2, 9, 0, 6, 4, 1, 3, 8, 5]);
  });

  it("gives another order for another seed or epoch", () => {
    const orders = [
      { seed: 0, epoch: 0 },
      { seed: 0, epoch: 1 },
      { seed: 1, epoch: 0 },
    ].map((keys) => flat(batchIndices(50, { batchSize: 8, ...keys })).join());
    expect(new Set(orders).size).toBe(3);
  });

  it("keeps the order of the split where shuffle is off", () => {
    expect(flat(batchIndices(5, { batchSize: 2, shuffle: false }))).toEqual([0, 1, 2, 3, 4]);
  });

  it("joins a last batch that is too small to the one before, and visits every image all the same", () => {
    const sizes = (count: number, smallestBatch: number) =>
      batchIndices(count, { batchSize: 4, smallestBatch }).map((part) => part.length);
    expect(sizes(9, 1)).toEqual([4, 4, 1]);
    expect(sizes(9, 2)).toEqual([4, 5]);
    expect(sizes(10, 2)).toEqual([4, 4, 2]);
    expect(sizes(8, 2)).toEqual([4, 4]);
    expect(sizes(1, 2)).toEqual([1]);
    fc.assert(
      fc.property(plans, fc.integer({ min: 1, max: 50 }), ({ count, ...plan }, smallestBatch) => {
        const parts = batchIndices(count, { ...plan, smallestBatch });
        expect(parts.length).toBe(batchCount(count, { ...plan, smallestBatch }));
        expect(flat(parts)).toEqual(flat(batchIndices(count, plan)));
        if (parts.length > 1)
          expect(parts.at(-1)?.length).toBeGreaterThanOrEqual(Math.min(smallestBatch, plan.batchSize));
      }),
    );
  });

  it("leaves out a smaller last batch if asked to", () => {
    const sizes = (dropLast: boolean) => batchIndices(5, { batchSize: 2, dropLast }).map((part) => part.length);
    expect(sizes(false)).toEqual([2, 2, 1]);
    expect(sizes(true)).toEqual([2, 2]);
    expect(batchIndices(1, { batchSize: 2, dropLast: true })).toEqual([]);
  });

  it.each([
    [{ batchSize: 0 }, /batchSize must be an integer >= 1, got 0/],
    [{ batchSize: 1.5 }, /batchSize must be an integer >= 1, got 1\.5/],
    [{ batchSize: 2, smallestBatch: 0 }, /smallestBatch must be an integer >= 1, got 0/],
    [{ batchSize: 2, startBatch: -1 }, /startBatch must be an integer >= 0, got -1/],
    [{ batchSize: 2, startBatch: 4 }, /startBatch must be at most 3, the batches of an epoch, got 4/],
    [{ batchSize: 2, seed: -1 }, /seed must be an integer/],
    [{ batchSize: 2, epoch: 0.5 }, /epoch must be an integer/],
  ])("refuses %o", (plan, message) => {
    expect(() => batchIndices(5, plan)).toThrow(message);
  });
});

describe("batches of a split", () => {
  let live: number;
  let split: Split;
  beforeEach(() => {
    live = memory().liveTensors;
    split = {
      name: "train",
      images: tensor(
        Uint8Array.from({ length: 5 * 2 * 4 }, (_, i) => i * 6),
        { shape: [5, 2, 2, 2] },
      ),
      labels: tensor([0n, 1n, 2n, 0n, 1n]),
      numClasses: 3,
      classNames: ["a", "b", "c"],
      normalization: { mean: [0.5, 0.25], std: [0.5, 0.125] },
    };
  });
  afterEach(() => {
    disposeSplit(split);
    expect(memory().liveTensors).toBe(live);
  });

  const normalised = (image: number) =>
    [0, 1].map((channel) =>
      [0, 1].map((y) =>
        [0, 1].map((x) => {
          const { mean, std } = split.normalization;
          const pixel = ((image * 2 + channel) * 4 + y * 2 + x) * 6;
          return (pixel / 255 - (mean[channel] as number)) / (std[channel] as number);
        }),
      ),
    );

  it("are gathered and normalised per channel", () => {
    tidy(() => {
      const { images, labels } = gatherBatch(split, Int32Array.of(4, 0));
      expect([images.dtype, labels.dtype]).toEqual(["float32", "int64"]);
      expect(images).toBeAllclose([normalised(4), normalised(0)], { rtol: 1e-6, atol: 1e-6 });
      expect(labels).toBeAllclose([1, 0]);
    });
  });

  it("are normalised by numbers where there is one channel", () => {
    tidy(() => {
      const gray = { ...split, images: split.images.reshape([5, 1, 2, 4]), normalization: { mean: [0.1], std: [0.3] } };
      const { images } = gatherBatch(gray, Int32Array.of(1));
      const expected = Array.from({ length: 8 }, (_, i) => (((8 + i) * 6) / 255 - 0.1) / 0.3);
      expect(images.reshape([8])).toBeAllclose(expected, { rtol: 1e-6, atol: 1e-6 });
    });
  });

  it.each([
    ["null", null],
    ["empty", {}],
    ["of one figure too many", { mean: [0, 0, 0], std: [1, 1] }],
    ["of text", { mean: "ab", std: [1, 1] }],
    ["with NaN", { mean: [0, Number.NaN], std: [1, 1] }],
    ["with a deviation of zero", { mean: [0, 0], std: [1, 0] }],
  ])("are refused with a normalisation that is %s", (_, normalization) => {
    const wrong = { ...split, normalization } as unknown as Split;
    const refused = expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringContaining("normalization") });
    expect(() => gatherBatch(wrong, Int32Array.of(0))).toThrow(refused);
    expect(() => [...batches(wrong, { batchSize: 2, seed: 0 })]).toThrow(refused);
  });

  it("are also there as pixels in [0,1]", () => {
    tidy(() => {
      const pixels = gatherPixels(split, Int32Array.of(4));
      expect(pixels.shape).toEqual([1, 2, 2, 2]);
      expect(pixels.max()).toBeAllclose((39 * 6) / 255);
    });
  });

  it("leave two tensors and no more", () => {
    const before = memory().liveTensors;
    const { images, labels } = gatherBatch(split, Int32Array.of(0, 1));
    expect(memory().liveTensors - before).toBe(2);
    images.dispose();
    labels.dispose();
  });

  it("follow the indices, one live batch at a time", () => {
    const seen: number[] = [];
    for (const { labels } of batches(split, { batchSize: 2, seed: 4, epoch: 1, startBatch: 1 })) {
      seen.push(...Array.from(labels.data() as BigInt64Array, Number));
      expect(memory().liveTensors - live).toBe(4);
    }
    const order = flat(batchIndices(5, { batchSize: 2, seed: 4, epoch: 1, startBatch: 1 }));
    expect(seen).toEqual(order.map((i) => i % 3));
  });

  it("are freed when the loop is left early or throws", () => {
    for (const _ of batches(split, { batchSize: 2 })) break;
    const failing = () => {
      for (const _ of batches(split, { batchSize: 2 })) throw new RangeError("stop");
    };
    expect(failing).toThrow("stop");
    expect(memory().liveTensors - live).toBe(2);
  });

  it("refuse indices beyond the split", () => {
    expect(() => gatherBatch(split, Int32Array.of(5))).toThrow(/index/);
  });
});

describe("gathering in one pass", () => {
  const split = (channels: number): Split => {
    const images = tensor(
      Uint8Array.from({ length: 6 * channels * 20 }, (_, i) => (i * 37) % 256),
      { shape: [6, channels, 4, 5], dtype: "uint8" },
    );
    const normalization = {
      mean: [0.1306604, 0.4, 0.7].slice(0, channels),
      std: [0.30811, 0.2, 0.9].slice(0, channels),
    };
    const labels = tensor([0, 1, 0, 1, 0, 1], { dtype: "int64" });
    return { name: "train", images, labels, numClasses: 2, classNames: ["a", "b"], normalization };
  };

  it.each([1, 3])("gives the bits of the operations one by one, for %i channels, in both layouts", (channels) => {
    const of = split(channels);
    const indices = Int32Array.from([5, 0, 3, 3]);
    const pixels = of.images
      .indexSelect(0, tensor(indices, { dtype: "int32" }))
      .to("float32")
      .div(255);
    const bits = (t: Tensor) => Array.from(t.contiguous().flatten().data() as Float32Array);
    expect(bits(gatherPixels(of, indices))).toEqual(bits(pixels));
    for (const channelsLast of [false, true]) {
      const { images, labels } = gatherBatch(of, indices, { channelsLast });
      expect(images.sizes).toEqual([4, channels, 4, 5]);
      expect(bits(images)).toEqual(bits(normalize(pixels, of.normalization)));
      expect(images.isContiguous).toBe(!channelsLast || channels === 1);
      expect(Array.from(labels.data() as BigInt64Array, Number)).toEqual([1, 0, 1, 1]);
    }
  });

  it("refuses a place that is none", () => {
    expect(() => gatherBatch(split(1), Int32Array.from([6]))).toThrow(
      /index 6 is not one of 6 images|index out of range/,
    );
    expect(() => gatherBatch(split(1), Int32Array.from([-1]))).toThrow();
  });
});
