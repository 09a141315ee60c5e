import { beforeAll, describe, expect, it } from "vitest";
import { Conv2d, Linear, Module, ReLU } from "../nn/index.ts";
import { manualSeed, noGrad, randn, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import type { MethodName } from "./description.ts";
import { explain } from "./explain.ts";
import { gradCamPlusPlus, reduceTerms, xGradCam } from "./gradient-methods.ts";
import { METHODS } from "./methods.ts";
import type { ExplainOptions } from "./options.ts";

class Net extends Module {
  readonly conv = new Conv2d(2, 6, 3, { padding: 1 });
  readonly act = new ReLU();
  readonly fc = new Linear(6, 3);
  override forward(x: Tensor): Tensor {
    return this.fc.run(this.act.run(this.conv.run(x)).mean([2, 3]));
  }
}

let model: Net;
let images: Tensor;
beforeAll(() => {
  manualSeed(3);
  model = new Net();
  images = randn([4, 2, 7, 7]);
});

const maps = (method: MethodName, options: ExplainOptions = {}) =>
  explain(model, images, { method, layer: "act", targets: [0, 1, 2, 0], ...options }).maps;

/** Runs `fn` while the last layer, and with it the logits, is multiplied by a factor. */
function scaled<T>(factor: number, fn: () => T): T {
  const parameters = [model.fc.weight, model.fc.bias as Tensor];
  const before = parameters.map((parameter) => parameter.detach().clone());
  noGrad(() => parameters.map((parameter) => parameter.mul_(factor)));
  try {
    return fn();
  } finally {
    noGrad(() => parameters.map((parameter, i) => parameter.copy_(before[i] as Tensor)));
  }
}

describe("maps in [0, 1]", () => {
  /** The methods whose raw map is proportional to the logits. */
  const HOMOGENEOUS = METHODS.filter(
    (name) => !["GradCAM++", "SmoothGradCAM++", "ScoreCAM", "FullGrad"].includes(name),
  );

  it.each(HOMOGENEOUS)("%s: do not depend on the unit of the logits", (method) =>
    tidy(() => {
      // By a power of two every product and sum scales exactly, so that rounding does not differ, on any processor.
      const expected = maps(method);
      for (const factor of [2 ** -20, 2 ** -40, 2 ** 40])
        expect(scaled(factor, () => maps(method))).toBeAllclose(expected, { rtol: 0, atol: 0 });
    }),
  );

  it("are (M − min) / (max − min + eps) where eps is given", () =>
    tidy(() => {
      const raw = scaled(1e-6, () => maps("GradCAM", { normalize: false }));
      const shifted = raw.sub(raw.amin([1, 2], { keepDims: true }));
      const expected = shifted.div(shifted.amax([1, 2], { keepDims: true }).add(1e-8));
      const found = scaled(1e-6, () => maps("GradCAM", { normalize: { eps: 1e-8 } }));
      expect(found).toBeAllclose(expected, { rtol: 1e-4, atol: 1e-6 });
    }));
});

/** Channel weights computed literally by the formula, in float64. */
function exactWeights(name: "XGradCAM" | "GradCAM++", activations: number[], gradients: number[]): number {
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
  const total = sum(activations);
  if (name === "XGradCAM") return sum(gradients.map((g, i) => g * (activations[i] as number))) / (total + 1e-7);
  return sum(gradients.map((g) => (g > 0 ? (g * g ** 2) / (2 * g ** 2 + total * g ** 3 + 1e-6) : 0)));
}

describe.each([
  ["XGradCAM", xGradCam],
  ["GradCAM++", (view: Parameters<typeof xGradCam>[0]) => gradCamPlusPlus(view, "batch-cam")],
] as const)("%s", (name, method) => {
  const weightsOf = (a: Tensor, g: Tensor) =>
    (method({ activations: a, gradients: g }) as { weights: Tensor }).weights.data() as Float64Array;

  const SCALES = [1e-30, 1e-4, 1, 1e4, 1e30];
  it.each(SCALES.flatMap((a) => SCALES.map((g) => [a, g])))(
    "follows its formula for activations of %f and gradients of %f",
    (aScale, gScale) =>
      tidy(() => {
        manualSeed(1);
        const a = randn([1, 3, 2, 3]).mul(aScale as number);
        const g = randn([1, 3, 2, 3]).mul(gScale as number);
        const found = weightsOf(a, g);
        for (let k = 0; k < 3; k++) {
          const values = (t: Tensor) => Array.from(t.select(1, k).flatten().data() as Float32Array);
          const expected = exactWeights(name, values(a), values(g));
          expect(Math.abs((found[k] as number) - expected)).toBeLessThanOrEqual(1e-9 * Math.abs(expected));
        }
        const map = reduceTerms(a, method({ activations: a, gradients: g }), false);
        expect(map.isfinite().all().item()).toBe(1);
      }),
  );

  it.each([
    ["activations are zero", [0, 0], [1, 2]],
    ["a sum is minus its eps", [Math.fround(-1e-7), 0], [1, 1]],
    ["a denominator cancels", [-2e-3, 0], [1e3, 1e3]],
    ["a denominator cancels beyond rounding", [-2e-9, 0], [1e9, 1e9]],
    ["sums are negative", [-3, 1], [0.5, 2]],
    ["gradients are zero", [1, 2], [0, 0]],
  ])("is finite where %s, and in 16 bits too", (_, a, g) =>
    tidy(() => {
      for (const dtype of ["float32", "bfloat16", "float16", "float64"] as const) {
        const view = [a, g].map((row) => tensor([[[row]]], { dtype })) as [Tensor, Tensor];
        if (view.some((given) => !given.isfinite().all().item())) continue; // the largest number of float16 is 65504
        const terms = method({ activations: view[0], gradients: view[1] });
        expect(Array.from(weightsOf(...view)).every(Number.isFinite)).toBe(true);
        if (dtype.endsWith("16")) continue; // the activations are converted to 32 bits before the sum
        expect(reduceTerms(view[0], terms, false).isfinite().all().item()).toBe(1);
      }
    }),
  );
});

describe("AblationCAM", () => {
  const raw = (options: ExplainOptions = {}) =>
    maps("AblationCAM", { relu: false, upsample: false, normalize: false, ...options });

  it("divides by the score's magnitude, by the score itself in pytorch-grad-cam's convention", () =>
    tidy(() => {
      const turned = (score: Tensor) => score.sign().view([-1, 1, 1]);
      for (const bias of [-5, 5]) {
        noGrad(() => model.fc.bias?.fill_(bias));
        const { logits } = explain(model, images, { layer: "act" });
        const scores = logits.gather(1, tensor([[0n], [1n], [2n], [0n]])).squeeze(1);
        const share = model.fc.weight.detach().indexSelect(0, tensor([0n, 1n, 2n, 0n])); // the contribution of a channel's mean
        const activations = noGrad(() => model.conv.forward(images).relu());
        const weights = activations.mean([2, 3]).mul(share).div(scores.abs().unsqueeze(1)).view([4, 6, 1, 1]);
        const expected = activations.mul(weights).sum([1]);
        expect(raw()).toBeAllclose(expected, { rtol: 1e-3, atol: 1e-5 });
        const theirs = raw({ convention: "pytorch-grad-cam" });
        expect(theirs).toBeAllclose(expected.mul(turned(scores)), { rtol: 1e-3, atol: 1e-5 });
      }
    }));

  it("is zero where the score is, and finite where it is tiny", () =>
    tidy(() => {
      noGrad(() => model.fc.bias?.fill_(0));
      const none = explain(model, zeros([1, 2, 7, 7]), { method: "AblationCAM", layer: "act", targets: 0 });
      expect(none.maps.isfinite().all().item()).toBe(1);
      const tiny = explain(model, images, {
        method: "AblationCAM",
        layer: "act",
        targets: (logits) => logits.select(1, 0).mul(0).add(1e-38).add(logits.select(1, 1).mul(1e-3)),
      });
      expect(tiny.maps.isfinite().all().item()).toBe(1);
    }));
});
