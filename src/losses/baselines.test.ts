import { describe, expect, it } from "vitest";
import { grad, logSoftmax, manualSeed, ones, rand, randn, type Tensor, tensor, zeros } from "../tensor/index.ts";
import { type BaselineInput, baselineLoss } from "./baselines.ts";

const LABELS = tensor([0, 2], { dtype: "int64" });

/** A linear model, whose gradients are known. */
function input(over: Partial<BaselineInput> = {}): BaselineInput & { weight: Tensor } {
  manualSeed(1);
  const weight = randn([3, 8]).requiresGrad_();
  const forward = (x: Tensor) => x.flatten(1).matmul(weight.t());
  const images = rand([2, 2, 2, 2]).requiresGrad_();
  const masks = tensor([1, 0, 0, 0, 0, 0, 1, 1], { shape: [2, 2, 2], dtype: "float32" });
  const maps = tensor([1, 0.5, 0, 0, 0.2, 0.4, 0.6, 1], { shape: [2, 2, 2], dtype: "float32" });
  const base = { images, scores: forward(images), labels: LABELS, masks, maps, foreground: ones([2, 2, 2]), forward };
  return { ...base, ...over, weight };
}

describe("rrr", () => {
  it("is the mean over images of the squared gradient of all log-probabilities inside the mask", () => {
    const given = input();
    const [slope] = grad(logSoftmax(given.scores, 1).sum(), given.images, { retainGraph: true }) as [Tensor];
    const values = Array.from(slope.flatten().data() as Float32Array);
    const inside = [0, 4, 10, 11, 14, 15]; // (n, c, h, w)
    const expected = inside.reduce((sum, i) => sum + (values[i] as number) ** 2, 0) / 2;
    expect(baselineLoss("rrr", given).item()).toBeCloseTo(expected, 5);
  });

  it("has a gradient for the weights", () => {
    const given = input();
    const [slope] = grad(baselineLoss("rrr", given), given.weight) as [Tensor];
    expect(slope.abs().max().item()).toBeGreaterThan(0);
  });
});

describe("rrr-g and hint", () => {
  it("penalise maps inside the mask, and reward them on the object outside of it", () => {
    expect(baselineLoss("rrr-g", input()).item()).toBeCloseTo((1 + (0.36 + 1) / 2) / 2, 6);
    const first = (0.25 + 1 + 1) / 3;
    const second = (0.64 + 0.36) / 2;
    expect(baselineLoss("hint", input()).item()).toBeCloseTo((first + second) / 2, 6);
  });

  it("count an image without a region as nothing", () => {
    expect(baselineLoss("rrr-g", input({ masks: zeros([2, 2, 2]) })).item()).toBe(0);
    expect(baselineLoss("hint", input({ foreground: zeros([2, 2, 2]) })).item()).toBe(0);
  });
});

describe("saliency-guided", () => {
  it("is the divergence of the scores of images whose less salient half is noise: at least zero, zero where that changes nothing", () => {
    expect(baselineLoss("saliency-guided", input()).item()).toBeGreaterThan(0);
    const deaf = input({
      forward: () => zeros([2, 3]),
      scores: zeros([2, 3]).add(rand([2, 2, 2, 2]).requiresGrad_().sum().mul(0)),
    });
    const images = deaf.images;
    const scores = images
      .flatten(1)
      .sum(1, { keepDims: true })
      .mul(zeros([1, 3]));
    expect(Math.abs(baselineLoss("saliency-guided", { ...deaf, scores }).item())).toBeLessThan(1e-6);
  });

  it("has a gradient for the weights, and leaves none on the images' own graph", () => {
    const given = input();
    const [slope] = grad(baselineLoss("saliency-guided", given), given.weight) as [Tensor];
    expect(slope.abs().max().item()).toBeGreaterThan(0);
  });
});

describe("baselineLoss", () => {
  it.each(["rrr", "rrr-g", "hint"] as const)("refuses %s without masks", (baseline) => {
    expect(() => baselineLoss(baseline, input({ masks: null }))).toThrow(/needs masks/);
  });
  it.each(["rrr-g", "hint"] as const)("refuses %s without maps", (baseline) => {
    expect(() => baselineLoss(baseline, input({ maps: null }))).toThrow(/needs maps/);
  });
});
