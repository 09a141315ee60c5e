import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fixture } from "../../test/support/fixtures.ts";
import {
  autocast,
  full,
  getRngState,
  interpolate,
  manualSeed,
  memory,
  rand,
  randn,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from "../tensor/index.ts";
import { imputeLinearly } from "./imputation.ts";

/**
 * The residual of each removed pixel: the weighted sum of the differences to its neighbours, which is zero if the
 * equation is satisfied.
 */
function residual(image: Tensor, removed: Tensor): number {
  const [height, width] = image.sizes.slice(-2) as [number, number];
  const values = image.to("float64").data() as Float64Array;
  const mask = removed.data() as Uint8Array;
  let worst = 0;
  for (let i = 0; i < height * width; i++) {
    if (mask[i] === 0) continue;
    let sum = 0;
    for (const [dy, dx] of [-1, 0, 1].flatMap((y) => [-1, 0, 1].map((x) => [y, x] as const))) {
      const [y, x] = [Math.floor(i / width) + dy, (i % width) + dx];
      const outside = y < 0 || x < 0 || y >= height || x >= width;
      if (!outside && (dy !== 0 || dx !== 0))
        sum += (dy !== 0 && dx !== 0 ? 1 / 12 : 1 / 6) * ((values[y * width + x] as number) - (values[i] as number));
    }
    worst = Math.max(worst, Math.abs(sum));
  }
  return worst;
}

const quiet = { noise: 0 };

describe("imputeLinearly", () => {
  it.each(["morf", "lerf"])("agrees with grad-cam's ROAD: %s", (order) =>
    tidy(() => {
      const reference = fixture("metrics_explanation");
      const images = reference.tensor("input/x");
      for (const percentile of [20, 50, 80]) {
        const expected = reference.tensor(`out/road_${order}_${percentile}/imputed`);
        const removed = expected.ne(images).select(1, 0);
        expect(imputeLinearly(images, removed, quiet)).toBeAllclose(expected, { rtol: 1e-6, atol: 1e-6 });
      }
    }),
  );

  it("solves the equations for images of any size, whatever is removed", () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 23 }),
        fc.integer({ min: 1, max: 23 }),
        fc.double({ min: 0.02, max: 1, noNaN: true }),
        fc.nat(10_000),
        (height, width, share, seed) =>
          tidy(() => {
            manualSeed(seed);
            const images = randn([2, 1, height, width], { dtype: "float64" });
            const removed = rand([2, height, width]).lt(share);
            const filled = imputeLinearly(images, removed, quiet);
            expect(filled.isfinite().all().item()).toBe(1);
            for (const row of [0, 1]) {
              const mask = removed.select(0, row);
              expect(residual(filled.select(0, row).select(0, 0), mask)).toBeLessThan(1e-7);
              const kept = mask.logicalNot();
              expect(filled.select(0, row).mul(kept).equal(images.select(0, row).mul(kept))).toBe(true);
            }
          }),
      ),
      { numRuns: 40 },
    ));

  it("gives an image of any magnitude, times a power of two, the same values times it", () =>
    fc.assert(
      fc.property(
        fc.integer({ min: -1020, max: 1015 }),
        fc.integer({ min: 2, max: 12 }),
        fc.nat(10_000),
        (k, size, seed) =>
          tidy(() => {
            manualSeed(seed);
            const removed = rand([2, size, size]).lt(0.5);
            const images = randn([2, 2, size, size], { dtype: "float64" });
            const scaled = imputeLinearly(images.mul(2 ** k), removed, quiet);
            expect(scaled).toBeAllclose(imputeLinearly(images, removed, quiet).mul(2 ** k), {
              rtol: 1e-12,
              atol: 2e-322,
            });
          }),
      ),
      { numRuns: 8 },
    ));

  it.each([
    ["float32", 1e-39],
    ["float32", 1e38],
    ["float64", 1e-39],
    ["float64", 1e-200],
    ["float64", 5e-324],
    ["float64", 1e308],
  ] as const)("is finite for %s images of magnitude %d, alone and beside others of one", (dtype, magnitude) =>
    tidy(() => {
      manualSeed(2);
      const removed = zeros([1, 16, 16], { dtype: "uint8" });
      removed.narrow(1, 9, 5).narrow(2, 9, 5).fill_(1);
      const ramp = Array.from({ length: 256 }, (_, i) => Math.fround(0.5 + (i % 16) / 32) * magnitude);
      const small = tensor(ramp, { shape: [1, 1, 16, 16], dtype });
      const filled = imputeLinearly(small, removed, quiet);
      // A linear ramp satisfies the equations, except at the edge of the image.
      expect(filled).toBeAllclose(small, {
        rtol: 1e-6,
        atol: Math.max(magnitude * 1e-6, dtype === "float32" ? 2e-45 : 5e-324),
      });
      const mixed = small.clone();
      mixed.narrow(2, 0, 4).fill_(1);
      expect(imputeLinearly(mixed, removed, quiet).isfinite().all().item()).toBe(1);
    }),
  );

  it.each([
    ["nine tenths, in one piece", (map: Tensor) => map.gt(0.1)],
    ["half, in one piece", (map: Tensor) => map.gt(0.5)],
    ["half, at random", (map: Tensor) => rand(map.shape).gt(0.5)],
    ["all but one in a hundred", (map: Tensor) => rand(map.shape).gt(0.01)],
    ["all but two", (map: Tensor) => map.ne(map.max()).logicalAnd(map.ne(map.min()))],
  ])("solves large images too: %s", (_, choose) =>
    tidy(() => {
      manualSeed(4);
      const side = 129;
      const map = interpolate(rand([1, 1, 6, 6]), { size: [side, side] }).select(1, 0);
      const removed = choose(map);
      const filled = imputeLinearly(randn([1, 1, side, side], { dtype: "float64" }), removed, quiet);
      expect(residual(filled.select(0, 0).select(0, 0), removed.select(0, 0))).toBeLessThan(1e-7);
    }),
  );

  it("fills a constant image with the constant, and stays between the known values", () =>
    tidy(() => {
      manualSeed(1);
      const removed = rand([3, 9, 12]).lt(0.7);
      const constant = full([3, 2, 9, 12], 123.456, { dtype: "float64" });
      expect(imputeLinearly(constant, removed, quiet)).toBeAllclose(constant, { rtol: 1e-13 });
      const filled = imputeLinearly(rand([3, 2, 9, 12]), removed, quiet);
      expect(filled.min().item()).toBeGreaterThanOrEqual(0);
      expect(filled.max().item()).toBeLessThanOrEqual(1);
    }));

  it("solves every image and channel by itself", () =>
    tidy(() => {
      manualSeed(2);
      const [images, removed] = [randn([5, 3, 10, 7]), rand([5, 10, 7]).lt(0.6)];
      const together = imputeLinearly(images, removed, quiet);
      for (const row of [0, 4]) {
        const alone = imputeLinearly(images.narrow(0, row, 1).narrow(1, 2, 1), removed.narrow(0, row, 1), quiet);
        expect(together.narrow(0, row, 1).narrow(1, 2, 1)).toBeAllclose(alone, { rtol: 1e-6, atol: 1e-6 });
      }
    }));

  it("gives zero where all of an image is removed, and NaN only to the image and channel that contain NaN", () =>
    tidy(() => {
      const images = tensor([
        [[[1, 2]], [[3, 4]]],
        [[[Number.NaN, 2]], [[3, 4]]],
        [[[1, 2]], [[3, 4]]],
      ]);
      const removed = tensor([[[true, true]], [[false, true]], [[false, false]]]);
      const expected = [
        [[[0, 0]], [[0, 0]]],
        [[[Number.NaN, Number.NaN]], [[3, 3]]],
        [[[1, 2]], [[3, 4]]],
      ];
      expect(imputeLinearly(images, removed, quiet)).toBeAllclose(expected, { equalNan: true });
    }));

  it("adds noise to the removed pixels alone, of its own seed, and leaves the thread's generator as it was", () =>
    tidy(() => {
      const [images, removed] = [zeros([4, 3, 30, 30]), rand([4, 30, 30]).lt(0.5)];
      const before = getRngState();
      const noisy = imputeLinearly(images, removed, { noise: 0.5, seed: 1 });
      expect(getRngState().equal(before)).toBe(true);
      const mask = removed.unsqueeze(1).expand([4, 3, 30, 30]);
      expect(noisy.maskedSelect(mask).std().item()).toBeAllclose(0.5, { rtol: 0.05 });
      expect(noisy.mul(mask.logicalNot()).abs().max().item()).toBe(0);
      expect(imputeLinearly(images, removed, { noise: 0.5, seed: 1 }).equal(noisy)).toBe(true);
      expect(imputeLinearly(images, removed, { noise: 0.5, seed: 2 }).equal(noisy)).toBe(false);
      expect(imputeLinearly(images, removed).maskedSelect(mask).std().item()).toBeAllclose(0.01, { rtol: 0.05 });
    }));

  it("computes as exactly within autocast, keeps the images' dtype, and leaves no tensor allocated", () => {
    using images = rand([2, 1, 20, 20]);
    using removed = rand([2, 20, 20]).lt(0.8);
    imputeLinearly(images, removed, quiet).dispose();
    const { liveTensors } = memory();
    const plain = imputeLinearly(images, removed, quiet);
    const cast = autocast({}, () => imputeLinearly(images, removed, quiet));
    expect(cast.equal(plain)).toBe(true);
    expect(memory().liveTensors).toBe(liveTensors + 2);
    using narrow = imputeLinearly(images.to("bfloat16"), removed, quiet);
    expect(narrow.dtype).toBe("bfloat16");
    for (const made of [plain, cast]) made.dispose();
  });

  const gone = zeros([1, 1, 2, 2]);
  gone.dispose();
  const [images, removed] = [zeros([2, 1, 4, 4]), zeros([2, 4, 4])];

  it.each<[string, () => unknown, string, RegExp]>([
    [
      "images of another rank",
      () => imputeLinearly(zeros([4, 4]), removed),
      "E_SHAPE",
      /images must be \[N, C, H, W\]/,
    ],
    [
      "a mask of another size",
      () => imputeLinearly(images, zeros([2, 4, 5])),
      "E_SHAPE",
      /removed must be \[N, H, W=4\]/,
    ],
    ["no image", () => imputeLinearly(zeros([0, 1, 4, 4]), zeros([0, 4, 4])), "E_SHAPE", /images have no samples/],
    ["no pixel", () => imputeLinearly(zeros([2, 1, 0, 4]), zeros([2, 0, 4])), "E_SHAPE", /images have no pixel/],
    ["no channel", () => imputeLinearly(zeros([2, 0, 4, 4]), removed), "E_SHAPE", /images have no pixel/],
    [
      "bytes",
      () => imputeLinearly(images.to("uint8"), removed),
      "E_DTYPE",
      /normalised floating-point images, got "uint8"/,
    ],
    ["disposed images", () => imputeLinearly(gone, removed), "E_DISPOSED", /images: the tensor was disposed/],
    [
      "negative noise",
      () => imputeLinearly(images, removed, { noise: -1 }),
      "E_ARGUMENT",
      /noise must be a finite number >= 0/,
    ],
    ["endless noise", () => imputeLinearly(images, removed, { noise: 1 / 0 }), "E_ARGUMENT", /noise must be a finite/],
    [
      "a fractional seed",
      () => imputeLinearly(images, removed, { seed: 0.5 }),
      "E_ARGUMENT",
      /seed must be an integer/,
    ],
    ["options that are none", () => imputeLinearly(images, removed, null as never), "E_ARGUMENT", /options must be an/],
  ])("refuses %s", (_, run, code, message) => {
    expect(run).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
    expect(run).toThrow(/^imputeLinearly: /);
  });
});
