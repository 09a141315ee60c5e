import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { autocast, cat, grad, rand, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { distanceOf } from "./distance.ts";
import { type BatchCamLossOptions, batchCamLoss, classMeans } from "./map-losses.ts";

const DISTANCES = ["l1", "l2", "ssim"] as const;
/** Class 1 is absent, class 3 alone. */
const LABELS = [2, 0, 2, 3, 0, 2];

const inputs = () => ({
  maps: rand([6, 12, 11], { dtype: "float64" }),
  prototypes: rand([4, 12, 11], { dtype: "float64" }),
});

const samplesOf = (label: number, labels = LABELS) => labels.flatMap((other, b) => (other === label ? [b] : []));

const meanOf = (maps: Tensor, samples: readonly number[]) =>
  cat(samples.map((b) => maps.narrow(0, b, 1))).mean([0], { keepDims: true });

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe.each(DISTANCES)("batchCamLoss by %s", (distance) => {
  const of = distanceOf(distance);

  it("holds the mean map of each class present against its prototype", () =>
    tidy(() => {
      const { maps, prototypes } = inputs();
      const expected = [0, 2, 3].map((c) => of(meanOf(maps, samplesOf(c)), prototypes.narrow(0, c, 1)).item());
      expect(batchCamLoss(maps, LABELS, { distance, prototypes }).item()).toBeAllclose(mean(expected), { rtol: 1e-10 });
    }));

  it.each([true, false])("holds each map against the mean of its class in the batch (detach %s)", (detach) =>
    tidy(() => {
      const { maps } = inputs();
      const expected = LABELS.map((c, b) => of(maps.narrow(0, b, 1), meanOf(maps, samplesOf(c))).item());
      const loss = batchCamLoss(maps, LABELS, { distance, target: "batch-mean", detach });
      expect(loss.item()).toBeAllclose(mean(expected), { rtol: 1e-10 });
    }),
  );

  it("sends the gradient through the batch mean unless it is detached", () =>
    tidy(() => {
      const maps = inputs().maps.requiresGrad_();
      const loss = (options: BatchCamLossOptions) =>
        batchCamLoss(maps, LABELS, { distance, target: "batch-mean", ...options });
      const gradient = (value: Tensor) => grad(value, maps)[0] as Tensor;
      const own = (detached: boolean) => {
        const means = LABELS.map((c) => meanOf(detached ? maps.detach() : maps, samplesOf(c)));
        return of(maps, cat(means)).mean();
      };
      expect(gradient(loss({ detach: true }))).toHaveRelL2(gradient(own(true)), { relL2: 1e-10 });
      expect(gradient(loss({ detach: false }))).toHaveRelL2(gradient(own(false)), { relL2: 1e-10 });
      expect(gradient(loss({}))).toHaveRelL2(gradient(own(true)), { relL2: 1e-10 });
      // The class mean minimises the squared error, so its own gradient is zero.
      const same = { relL2: distance === "l2" ? 1e-10 : 1e-3 };
      const comparison = expect(gradient(own(true)));
      if (distance === "l2") comparison.toHaveRelL2(gradient(own(false)), same);
      else comparison.not.toHaveRelL2(gradient(own(false)), same);
    }));

  it("is float32 under autocast and from 16-bit maps", () =>
    tidy(() => {
      const [maps, prototypes] = [rand([6, 12, 11]), rand([4, 12, 11])];
      for (const target of ["prototype", "batch-mean"] as const) {
        const loss = (m = maps) => batchCamLoss(m, LABELS, { distance, target, prototypes });
        expect(autocast({ dtype: "bfloat16" }, () => loss()).equal(loss())).toBe(true);
        expect(loss(maps.to("bfloat16")).dtype).toBe("float32");
      }
    }));
});

describe("batchCamLoss", () => {
  it("measures by SSIM against prototypes by default", () =>
    tidy(() => {
      const { maps, prototypes } = inputs();
      const explicit = batchCamLoss(maps, LABELS, { distance: "ssim", target: "prototype", prototypes });
      expect(batchCamLoss(maps, LABELS, { prototypes }).item()).toBe(explicit.item());
    }));

  it("gives the prototypes no gradient", () =>
    tidy(() => {
      const { maps, prototypes } = inputs();
      const loss = batchCamLoss(maps.requiresGrad_(), LABELS, { prototypes: prototypes.requiresGrad_() });
      const [, byPrototypes] = grad(loss, [maps, prototypes], { allowUnused: true }) as [Tensor, Tensor];
      expect(byPrototypes.abs().max().item()).toBe(0);
    }));

  it("is exactly zero, with a zero gradient, for a batch of one against its own mean", () =>
    tidy(() => {
      const maps = rand([1, 12, 11], { requiresGrad: true });
      for (const detach of [true, false]) {
        const loss = batchCamLoss(maps, [3], { target: "batch-mean", distance: "l2", detach });
        expect(loss.item()).toBe(0);
        expect(grad(loss, maps)[0]?.abs().max().item()).toBe(0);
      }
    }));

  it("collapses alone: all-dead maps agree perfectly with their mean", () =>
    tidy(() => {
      expect(batchCamLoss(zeros([4, 12, 12]), [0, 0, 1, 1], { target: "batch-mean", distance: "l1" }).item()).toBe(0);
    }));

  it("takes labels without an upper bound if no prototypes are given", () =>
    tidy(() => {
      const { maps } = inputs();
      const shifted = LABELS.map((label) => label + 1000);
      const loss = (labels: number[]) => batchCamLoss(maps, labels, { target: "batch-mean" }).item();
      expect(loss(shifted)).toBe(loss(LABELS));
    }));

  it("does not depend on the order of the samples", () =>
    fc.assert(
      fc.property(fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 6 }), (order) =>
        tidy(() => {
          const { maps, prototypes } = inputs();
          const shuffled = maps.indexSelect(0, tensor(order, { dtype: "int64" }));
          const labels = order.map((b) => LABELS[b] as number);
          for (const target of ["prototype", "batch-mean"] as const) {
            const expected = batchCamLoss(maps, LABELS, { target, prototypes }).item();
            expect(batchCamLoss(shuffled, labels, { target, prototypes }).item()).toBeAllclose(expected, {
              rtol: 1e-10,
            });
          }
        }),
      ),
      { numRuns: 15 },
    ));

  it("passes NaN on", () =>
    tidy(() => {
      const { maps, prototypes } = inputs();
      maps.narrow(0, 1, 1).fill_(Number.NaN);
      for (const target of ["prototype", "batch-mean"] as const) {
        expect(batchCamLoss(maps, LABELS, { target, prototypes }).item()).toBeNaN();
      }
    }));
});

describe("classMeans", () => {
  it("gives the mean map of each class present, in the classes' order, and each sample's row", () =>
    tidy(() => {
      const { maps } = inputs();
      const { means, classes, rows } = classMeans(maps, LABELS);
      expect(classes).toEqual([0, 2, 3]);
      expect(Array.from(rows.data(), Number)).toEqual([1, 0, 1, 2, 0, 1]);
      for (const [row, c] of classes.entries()) {
        expect(means.narrow(0, row, 1)).toBeAllclose(meanOf(maps, samplesOf(c)), { rtol: 1e-12 });
      }
    }));
});

// biome-ignore lint/suspicious/noExplicitAny: what a JavaScript caller might pass.
type Anything = any;

describe("batchCamLoss refuses", () => {
  const gone = zeros([6, 12, 11]);
  gone.dispose();

  it.each<[string, Record<string, Anything>, string, RegExp]>([
    [
      "missing prototypes",
      { prototypes: undefined },
      "E_ARGUMENT",
      /prototypes \(C, H, W\) are missing, and target "prototype" needs them/,
    ],
    ["an unknown target", { target: "mean" }, "E_ARGUMENT", /target must be "prototype" or "batch-mean", got "mean"/],
    ["an unknown distance", { distance: "toString" }, "E_ARGUMENT", /distance must be .* got "toString"/],
    [
      "maps of another rank",
      { maps: zeros([6, 1, 12, 11]) },
      "E_SHAPE",
      /maps must be \[B, H, W\], got \[6, 1, 12, 11\]/,
    ],
    [
      "prototypes of another size",
      { prototypes: zeros([4, 7, 7]) },
      "E_SHAPE",
      /prototypes must be \[C, H=12, W=11\], got \[4, 7, 7\]/,
    ],
    ["an empty batch", { maps: zeros([0, 12, 11]), labels: [] }, "E_SHAPE", /maps have no values/],
    [
      "an empty batch against its mean",
      { maps: zeros([0, 12, 11]), labels: [], target: "batch-mean" },
      "E_SHAPE",
      /maps have no values/,
    ],
    ["labels of another count", { labels: [0] }, "E_SHAPE", /expected 6 labels/],
    ["a label without prototype", { labels: [0, 1, 2, 3, 4, 0] }, "E_ARGUMENT", /label 4 must be 0 to 3, got 4/],
    [
      "a negative label against the mean",
      { labels: [0, 1, -2, 3, 3, 0], target: "batch-mean" },
      "E_ARGUMENT",
      /label 2 must be >= 0, got -2/,
    ],
    ["fractional labels", { labels: [0, 1, 2, 3, 0.5, 0] }, "E_DTYPE", /label 4 must be a class index/],
    [
      "integer maps",
      { maps: zeros([6, 12, 11], { dtype: "int32" }) },
      "E_DTYPE",
      /maps must have a floating-point dtype/,
    ],
    [
      "integer prototypes",
      { prototypes: zeros([4, 12, 11], { dtype: "uint8" }) },
      "E_DTYPE",
      /prototypes must have a floating-point dtype/,
    ],
    ["disposed maps", { maps: gone }, "E_DISPOSED", /maps: the tensor was disposed/],
    ["disposed prototypes", { prototypes: gone }, "E_DISPOSED", /prototypes: the tensor was disposed/],
  ])("%s", (_, change, code, message) =>
    tidy(() => {
      const { maps, labels, ...options }: Record<string, Anything> = { ...inputs(), labels: LABELS, ...change };
      const run = () => batchCamLoss(maps, labels, options);
      expect(run).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
      expect(run).toThrow(/^batchCamLoss: /);
    }),
  );
});
