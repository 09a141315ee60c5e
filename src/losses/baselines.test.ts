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

/** The model's forward pass, which also keeps the images that it is called with. */
function watched({ forward }: BaselineInput) {
  const seen: Tensor[] = [];
  const watching = (images: Tensor) => {
    seen.push(images);
    return forward(images);
  };
  return { seen, forward: watching };
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
    const given = input();
    const { seen, forward } = watched(given);
    const loss = baselineLoss("saliency-guided", { ...given, forward });
    const [masked] = seen as [Tensor];
    const [own, other] = [given.scores, given.forward(masked)].map((scores) => logSoftmax(scores, 1)) as [
      Tensor,
      Tensor,
    ];
    expect(loss.item()).toBeCloseTo(own.exp().mul(own.sub(other)).sum().item() / 2, 6);
    expect(loss.item()).toBeGreaterThan(0);
    const blind = zeros([3, 8]);
    const scores = given.images.flatten(1).matmul(blind.t());
    const ignoring = (images: Tensor) => images.flatten(1).matmul(blind.t());
    const zero = baselineLoss("saliency-guided", { ...given, scores, forward: ignoring });
    expect(Math.abs(zero.item())).toBeLessThan(1e-6);
  });

  it("keeps the pixels on which the true class's score depends most, and draws the others within the image's values", () => {
    const given = input();
    const { seen, forward } = watched(given);
    baselineLoss("saliency-guided", { ...given, forward });
    const rowsOf = (t: Tensor) =>
      [0, 1, 2].map((i) => Array.from(t.flatten().data() as Float32Array).slice(8 * i, 8 * i + 8));
    const [before, after] = [rowsOf(given.images), rowsOf(seen[0] as Tensor)];
    for (const [n, label] of [0, 2].entries()) {
      const [image, masked] = [before[n] as number[], after[n] as number[]];
      // The score's gradient is the class's row of weights: two channels of four pixels.
      const slope = rowsOf(given.weight)[label] as number[];
      const saliency = (pixel: number) => Math.abs(slope[pixel] as number) + Math.abs(slope[pixel + 4] as number);
      const least = [0, 1, 2, 3].toSorted((a, b) => saliency(a) - saliency(b)).slice(0, 2);
      const changed = [0, 1, 2, 3].filter((i) => image[i] !== masked[i] || image[i + 4] !== masked[i + 4]);
      expect(changed).toEqual(least.toSorted());
      expect(Math.min(...masked)).toBeGreaterThanOrEqual(Math.min(...image));
      expect(Math.max(...masked)).toBeLessThanOrEqual(Math.max(...image));
    }
  });

  it("has a gradient for the weights, and none through the noisy images to their pixels", () => {
    const given = input();
    const { seen, forward } = watched(given);
    const [slope] = grad(baselineLoss("saliency-guided", { ...given, forward }), given.weight) as [Tensor];
    expect(slope.abs().max().item()).toBeGreaterThan(0);
    expect(seen.map(({ requiresGrad }) => requiresGrad)).toEqual([false]);
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
