import { describe, expect, it } from "vitest";
import { autocast, grad, randn, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { crossEntropy } from "./map-losses.ts";

const LABELS = [1, 0, 2, 2];

/** −log softmax of each row at its label, computed in float64. */
function byHand(logits: Tensor, labels: readonly number[]): number[] {
  const [, classes] = logits.shape as [number, number];
  const values = Array.from(logits.data(), Number);
  return labels.map((label, row) => {
    const scores = values.slice(row * classes, (row + 1) * classes);
    return Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0)) - (scores[label] as number);
  });
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe("crossEntropy", () => {
  it("is the mean of −log softmax at the label", () =>
    tidy(() => {
      const logits = randn([4, 3], { dtype: "float64" });
      const expected = byHand(logits, LABELS);
      expect(crossEntropy(logits, LABELS).item()).toBeAllclose(mean(expected), { rtol: 1e-12 });
      expect(crossEntropy(logits, tensor(LABELS, { dtype: "uint8" })).item()).toBeAllclose(mean(expected), {
        rtol: 1e-12,
      });
      expect(crossEntropy(logits, LABELS, { reduction: "none" })).toBeAllclose(expected, { rtol: 1e-12 });
      expect(crossEntropy(logits, LABELS, { reduction: "sum" }).item()).toBeAllclose(mean(expected) * 4, {
        rtol: 1e-12,
      });
    }));

  it("has the gradient softmax − onehot, over the batch", () =>
    tidy(() => {
      const logits = randn([4, 3], { dtype: "float64", requiresGrad: true });
      const onehot = tensor(
        LABELS.flatMap((label) => [0, 1, 2].map((c) => Number(c === label))),
        { shape: [4, 3], dtype: "float64" },
      );
      const [gradient] = grad(crossEntropy(logits, LABELS), logits) as [Tensor];
      expect(gradient).toBeAllclose(logits.detach().softmax(1).sub(onehot).div(4), { rtol: 1e-10, atol: 1e-14 });
    }));

  it("stays finite for huge logits, and passes NaN on", () =>
    tidy(() => {
      expect(crossEntropy(tensor([[1e4, -1e4]]), [0]).item()).toBe(0);
      expect(crossEntropy(tensor([[1e4, -1e4]]), [1]).item()).toBe(2e4);
      expect(crossEntropy(tensor([[Number.NaN, 0]]), [1]).item()).toBeNaN();
    }));

  it("is float32 under autocast and from 16-bit logits", () =>
    tidy(() => {
      const logits = randn([4, 3]);
      expect(
        autocast({ dtype: "bfloat16" }, () => crossEntropy(logits, LABELS)).equal(crossEntropy(logits, LABELS)),
      ).toBe(true);
      const half = logits.to("bfloat16");
      expect(crossEntropy(half, LABELS).equal(crossEntropy(half.to("float32"), LABELS))).toBe(true);
    }));
});

// biome-ignore lint/suspicious/noExplicitAny: what a JavaScript caller might pass.
type Anything = any;

describe("crossEntropy refuses", () => {
  const gone = zeros([4, 3]);
  gone.dispose();

  it.each<[string, Record<string, Anything>, string, RegExp]>([
    ["logits of another rank", { logits: zeros([4]) }, "E_SHAPE", /logits must be \[N, C\], got \[4\]/],
    ["an empty batch", { logits: zeros([0, 3]), labels: [] }, "E_SHAPE", /logits have no samples/],
    [
      "integer logits",
      { logits: zeros([4, 3], { dtype: "int64" }) },
      "E_DTYPE",
      /logits must have a floating-point dtype/,
    ],
    ["labels of another count", { labels: [0, 1, 2] }, "E_SHAPE", /expected 4 labels/],
    ["a label out of range", { labels: [0, 1, 2, 3] }, "E_ARGUMENT", /label 3 must be 0 to 2, got 3/],
    ["torch's ignored label", { labels: [0, 1, 2, -100] }, "E_ARGUMENT", /label 3 must be 0 to 2, got -100/],
    ["probabilities", { labels: zeros([4, 3]) }, "E_SHAPE", /labels must be \[N\], got \[4,3\]/],
    [
      "class weights of another count",
      { options: { weight: zeros([4]) } },
      "E_SHAPE",
      /weight must be \[C=3\], got \[4\]/,
    ],
    [
      "a smoothing above one",
      { options: { labelSmoothing: 1.5 } },
      "E_ARGUMENT",
      /labelSmoothing must be in \[0, 1\], got 1.5/,
    ],
    ["an unknown reduction", { options: { reduction: "average" } }, "E_ARGUMENT", /reduction/],
    ["disposed logits", { logits: gone }, "E_DISPOSED", /logits: the tensor was disposed/],
    ["disposed labels", { labels: gone }, "E_DISPOSED", /labels: the tensor was disposed/],
  ])("%s", (_, change, code, message) =>
    tidy(() => {
      const { logits, labels, options }: Record<string, Anything> = {
        logits: zeros([4, 3]),
        labels: LABELS,
        options: {},
        ...change,
      };
      const run = () => crossEntropy(logits, labels, options);
      expect(run).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
      expect(run).toThrow(/^crossEntropy: /);
    }),
  );
});
