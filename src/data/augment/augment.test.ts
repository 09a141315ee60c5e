import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { grad, manualSeed, rand, type Tensor, tensor, tidy, zeros } from "../../tensor/index.ts";
import { gatherPixels, normalize } from "../batches/loader.ts";
import type { Split } from "../splits/split.ts";
import { augment, gatherAugmented, inverseGeometry, warp } from "./augment.ts";
import type { AugmentOptions } from "./draws.ts";

const KEY = { seed: 3, epoch: 2 };
const ALL: AugmentOptions = { shift: 0.2, rotate: 20, scale: 0.2, flip: true, erase: 0.5, brightness: 0.3 };
const indices = (...list: number[]): Int32Array => Int32Array.from(list);
const count = (n: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i);
const values = (t: Tensor): number[] => Array.from(t.flatten().data() as Float32Array);
const largest = (t: Tensor): number => t.abs().max().item();

/** Images of smooth blobs, which hardly change when they are sampled twice. */
function blobs(batch: number, height: number, width: number): Tensor {
  const pixels = Array.from({ length: batch * height * width }, (_, i) => {
    const [n, y, x] = [Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width];
    const distance = (y / height - 0.45 - 0.02 * n) ** 2 + (x / width - 0.55) ** 2;
    return Math.exp(-distance / 0.02);
  });
  return tensor(pixels, { shape: [batch, 1, height, width], dtype: "float32" });
}

describe("augment", () => {
  it("changes nothing where nothing is asked for", () => {
    const x = rand([3, 2, 8, 9]);
    const { images, geometry } = augment(x, count(3), KEY);
    expect(geometry).toBeNull();
    expect(largest(images.sub(x))).toBe(0);
  });

  it("gives an image the same draws in any batch, and others in another epoch or run", () => {
    const x = rand([4, 3, 10, 12]);
    const of = (list: number[], key = KEY) =>
      augment(x.indexSelect(0, tensor(Int32Array.from(list), { dtype: "int32" })), indices(...list), {
        ...ALL,
        ...key,
      });
    const whole = of([0, 1, 2, 3]);
    const turned = of([3, 1]);
    expect(values(turned.images.narrow(0, 0, 1))).toEqual(values(whole.images.narrow(0, 3, 1)));
    expect(values(turned.images.narrow(0, 1, 1))).toEqual(values(whole.images.narrow(0, 1, 1)));
    for (const key of [
      { seed: 4, epoch: 2 },
      { seed: 3, epoch: 3 },
      { seed: 3 + 2 ** 40, epoch: 2 },
    ])
      expect(largest(of([0, 1, 2, 3], key).images.sub(whole.images))).toBeGreaterThan(0.01);
  });

  it("changes the repeats of an image in an epoch each in its own way, by their places", () => {
    const x = rand([1, 1, 10, 12]);
    const of = (place?: number) =>
      augment(x.expand([3, 1, 10, 12]), indices(5, 5, 5), { ...ALL, ...KEY, place }).images;
    const [whole, repeated] = [of(), of(8)];
    expect(values(whole.narrow(0, 0, 1))).toEqual(values(whole.narrow(0, 1, 1)));
    expect(values(repeated.narrow(0, 0, 1))).not.toEqual(values(repeated.narrow(0, 1, 1)));
    expect(values(of(7).narrow(0, 2, 1))).toEqual(values(repeated.narrow(0, 1, 1)));
  });

  it("has no stream twice, whatever the seed and the epoch", () => {
    const first = (seed: number, epoch: number) =>
      values(
        augment(zeros([1, 1, 4, 4]), indices(0), { seed, epoch, shift: 0.5, rotate: 90 }).geometry as Tensor,
      ).join();
    const seen = [3, 2 ** 32 + 3, 2 ** 33 + 3].flatMap((seed) => [1, 2, 3, 4].map((epoch) => first(seed, epoch)));
    expect(new Set(seen).size).toBe(seen.length);
  });

  it("draws the same numbers on every machine", () => {
    const { geometry } = augment(zeros([2, 1, 4, 4]), indices(0, 41), { ...KEY, shift: 0.5, rotate: 90 });
    expect(values(geometry as Tensor).map((value) => Math.round(value * 1e4) / 1e4)).toMatchInlineSnapshot(`
      [
        0.3062,
        -0.952,
        1.0236,
        0.952,
        0.3062,
        0.4424,
        0.0819,
        -0.9966,
        -0.679,
        0.9966,
        0.0819,
        0.2964,
      ]
    `);
  });

  it("leaves the draws of a change as they are when another one is switched on", () => {
    const x = blobs(4, 12, 12);
    const alone = augment(x, count(4), { ...KEY, shift: 0.3 });
    const both = augment(x, count(4), { ...KEY, shift: 0.3, brightness: 0.4, erase: 0.2 });
    expect(values(both.geometry as Tensor)).toEqual(values(alone.geometry as Tensor));
    const cut = augment(x, count(4), { ...KEY, crop: 0.4 });
    const [few, many] = [2, 5].map((randAugmentOps) => augment(x, count(4), { ...KEY, crop: 0.4, randAugmentOps }));
    for (const other of [few, many]) expect(values(other?.geometry as Tensor)).toEqual(values(cut.geometry as Tensor));
  });

  it("shifts, turns and zooms within its bounds, about the middle, without distorting", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 2, max: 40 }), fc.integer({ min: 2, max: 40 }), (seed, height, width) =>
        tidy(() => {
          const { geometry } = augment(zeros([5, 1, height, width]), count(5), {
            ...{ seed, epoch: 1, shift: 0.25, rotate: 30, scale: 0.2, flip: true },
          });
          const rows = values(geometry as Tensor);
          for (let i = 0; i < 5; i++) {
            const [a = 0, b = 0, x = 0, c = 0, d = 0, y = 0] = rows.slice(6 * i, 6 * i + 6);
            const [left, up] = [(b * width) / height, (c * height) / width]; // in pixels both axes rotate by the same angle
            const zoom = 1 / Math.sqrt(Math.abs(a * d - b * c));
            expect(zoom).toBeGreaterThan(0.8 - 1e-6);
            expect(zoom).toBeLessThan(1.25 + 1e-6);
            expect(Math.abs(d * zoom)).toBeGreaterThan(Math.cos(Math.PI / 6) - 1e-5);
            expect(Math.abs(Math.abs(a) - Math.abs(d)) + Math.abs(Math.abs(left) - Math.abs(up))).toBeLessThan(1e-4);
            // The centre of the new image is the centre of the old one, shifted.
            const determinant = a * d - b * c;
            expect(Math.abs((d * x - b * y) / determinant / 2)).toBeLessThan(0.25 + 1e-6);
            expect(Math.abs((a * y - c * x) / determinant / 2)).toBeLessThan(0.25 + 1e-6);
          }
        }),
      ),
      { numRuns: 50 },
    );
  });

  it("moves an image the way that its geometry says", () => {
    const x = blobs(6, 24, 24);
    const { images, geometry } = augment(x, count(6), { ...KEY, shift: 0.2 });
    const rows = values(geometry as Tensor);
    const centre = (t: Tensor) => {
      const pixels = values(t);
      const total = pixels.reduce((sum, v) => sum + v, 0);
      const of = (place: (i: number) => number) => pixels.reduce((sum, v, i) => sum + v * place(i), 0) / total;
      return [of((i) => i % 24), of((i) => Math.floor(i / 24))] as const;
    };
    for (let i = 0; i < 6; i++) {
      const [before, after] = [centre(x.narrow(0, i, 1)), centre(images.narrow(0, i, 1))];
      const [dx, dy] = [-(rows[6 * i + 2] as number) * 12, -(rows[6 * i + 5] as number) * 12];
      expect(Math.abs(after[0] - before[0] - dx)).toBeLessThan(1);
      expect(Math.abs(after[1] - before[1] - dy)).toBeLessThan(1);
    }
  });

  it("mirrors about half the images", () => {
    const { geometry } = augment(zeros([400, 1, 4, 4]), count(400), { ...KEY, flip: true });
    const mirrored = values(geometry as Tensor).filter((value, i) => i % 6 === 0 && value < 0).length;
    expect(mirrored).toBeGreaterThan(150);
    expect(mirrored).toBeLessThan(250);
  });

  it("erases a rectangle of some images, grey, in every channel", () => {
    const { images } = augment(zeros([300, 2, 20, 30]), count(300), { ...KEY, erase: 0.4 });
    const shares = values(images.gt(0.4).to("float32").mean([2, 3]));
    const hit = shares.filter((share) => share > 0);
    expect(hit.length / shares.length).toBeGreaterThan(0.3);
    expect(hit.length / shares.length).toBeLessThan(0.5);
    expect(Math.min(...hit)).toBeGreaterThan(0.005);
    expect(Math.max(...hit)).toBeLessThan(0.3);
    expect(shares.filter((_, i) => i % 2 === 0)).toEqual(shares.filter((_, i) => i % 2 === 1));
    expect(images.max().item()).toBe(0.5);
  });

  it("cuts a rectangle inside the image, of at least the share of its area that is left", () => {
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0.01, max: 0.99, noNaN: true }), (seed, crop) =>
        tidy(() => {
          const { geometry } = augment(zeros([6, 1, 4, 4]), count(6), { seed, epoch: 1, crop });
          const rows = values(geometry as Tensor);
          for (let i = 0; i < 6; i++) {
            const [a = 0, b = 0, x = 0, c = 0, d = 0, y = 0] = rows.slice(6 * i, 6 * i + 6);
            expect([b, c]).toEqual([0, 0]);
            expect(a * d).toBeGreaterThan(1 - crop - 1e-6);
            for (const [scale, middle] of [
              [a, x],
              [d, y],
            ] as const)
              expect(Math.abs(middle) + scale).toBeLessThan(1 + 1e-6);
          }
        }),
      ),
      { numRuns: 50 },
    );
  });

  it("changes shades before it moves them: a map by the same geometry is not recoloured", () => {
    const x = blobs(40, 16, 16);
    const { images, geometry } = augment(x, count(40), { ...KEY, randAugment: 9, randAugmentOps: 3 });
    const moved = warp(x, geometry as Tensor, "border");
    expect(largest(images.sub(moved))).toBeGreaterThan(0.2);
    const unmoved = augment(x, count(40), { ...KEY, brightness: 0.5 });
    expect(unmoved.geometry).toBeNull();
  });

  it("interpolates shades that are not whole numbers", () => {
    const x = tensor([0.1, 0.1001, 0.1002, 0.1003], { shape: [4, 1, 1, 1] });
    const { images } = augment(x, indices(7, 7, 7, 7), { ...KEY, brightness: 0.5 });
    const [first = 0, ...rest] = values(images);
    for (const [i, value] of rest.entries()) expect(value / first).toBeCloseTo(1 + (i + 1) * 0.001, 4);
  });

  it("keeps brightness between 0 and 1", () => {
    const { images } = augment(rand([20, 1, 5, 5]), count(20), { ...KEY, brightness: 1 });
    expect(images.min().item()).toBeGreaterThanOrEqual(0);
    expect(images.max().item()).toBeLessThanOrEqual(1);
  });

  it.each([
    [{ shift: -0.1 }, /shift/],
    [{ shift: 1.5 }, /shift/],
    [{ rotate: Number.NaN }, /rotate/],
    [{ scale: 1 }, /scale/],
    [{ erase: 2 }, /erase/],
    [{ brightness: "x" as never }, /brightness/],
    [{ crop: 1 }, /crop/],
    [{ randAugment: 11 }, /randAugment/],
    [{ randAugment: 1, randAugmentOps: 0 }, /randAugmentOps/],
  ] as const)("refuses %o", (options, message) => {
    expect(() => augment(zeros([1, 1, 2, 2]), count(1), { ...KEY, ...options })).toThrow(message);
  });

  it("refuses as many indices as there are no images", () => {
    expect(() => augment(zeros([2, 1, 2, 2]), count(1), { ...KEY })).toThrow(/indices/);
  });
});

describe("inverseGeometry", () => {
  it("brings what was moved back to where it lay", () => {
    manualSeed(0);
    const x = blobs(8, 40, 32);
    const { images, geometry } = augment(x, count(8), { ...KEY, shift: 0.1, rotate: 25, scale: 0.15, flip: true });
    expect(largest(images.sub(x))).toBeGreaterThan(0.3);
    const back = warp(images, inverseGeometry(geometry as Tensor), "zeros");
    expect(largest(back.sub(x))).toBeLessThan(0.06);
  });

  it("takes every dtype of floating point, and refuses others and what cannot be undone", () => {
    const half = tensor([0.5, 0, 0.25, 0, 2, 0], { shape: [1, 2, 3], dtype: "float64" });
    expect(inverseGeometry(half)).toBeAllclose([
      [
        [2, 0, -0.5],
        [0, 0.5, 0],
      ],
    ]);
    const refused = expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringContaining("geometry") });
    expect(() => inverseGeometry(zeros([1, 2, 3], { dtype: "int64" }))).toThrow(refused);
    expect(() => inverseGeometry(zeros([1, 2, 3]))).toThrow(refused);
  });

  it("lets gradients through to the maps", () => {
    const maps = blobs(2, 16, 16).requiresGrad_();
    const { geometry } = augment(zeros([2, 1, 16, 16]), count(2), { ...KEY, rotate: 10 });
    const [slope] = grad(
      warp(maps, inverseGeometry(geometry as Tensor), "zeros")
        .square()
        .sum(),
      [maps],
    ) as [Tensor];
    expect(largest(slope)).toBeGreaterThan(0.1);
  });
});

describe("gatherAugmented", () => {
  const split = (channels: number, [height, width]: [number, number]): Split => {
    const values = Uint8Array.from({ length: 9 * channels * height * width }, (_, i) => (i * 97) % 251);
    const images = tensor(values, { shape: [9, channels, height, width], dtype: "uint8" });
    const labels = tensor([0, 1, 0, 1, 0, 1, 0, 1, 1], { dtype: "int64" });
    const normalization = { mean: [0.2, 0.4, 0.5].slice(0, channels), std: [0.3, 0.2, 0.9].slice(0, channels) };
    return { name: "train", images, labels, numClasses: 2, classNames: ["a", "b"], normalization };
  };

  it.each<[number, [number, number], AugmentOptions]>([
    [1, [28, 28], ALL],
    [3, [17, 9], ALL],
    [3, [6, 11], { flip: true }],
    [1, [5, 4], { erase: 1 }],
    [3, [8, 8], { brightness: 1 }],
    [1, [1, 7], ALL],
    [3, [12, 16], { crop: 0.5 }],
    [3, [12, 16], { randAugment: 7, randAugmentOps: 4 }],
    [1, [9, 9], { ...ALL, crop: 0.3, randAugment: 10 }],
  ])("is augment and normalize in one pass: %i channels of %j, %o", (channels, size, options) => {
    const of = split(channels, size);
    const places = indices(8, 0, 3, 3, 5);
    const { images, geometry } = augment(gatherPixels(of, places), places, { ...options, ...KEY });
    const expected = normalize(images, of.normalization);
    for (const channelsLast of [false, true]) {
      const found = gatherAugmented(of, places, { ...options, ...KEY, channelsLast });
      expect(found.images.sizes).toEqual(expected.sizes);
      expect(largest(found.images.sub(expected))).toBeLessThan(2e-4);
      expect(found.geometry === null).toBe(geometry === null);
      expect(Array.from(found.labels.data() as BigInt64Array, Number)).toEqual([1, 0, 1, 1, 1]);
    }
  });

  it("refuses a place that is none", () => {
    expect(() => gatherAugmented(split(1, [4, 4]), indices(9), { ...ALL, ...KEY })).toThrow(/index 9 is not one of 9/);
  });
});
