import { describe, expect, it } from "vitest";
import { rand, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { accuracy } from "./accuracy.ts";

describe("accuracy", () => {
  it("is the share of samples whose largest logit is the label's", () =>
    tidy(() => {
      const logits = tensor([
        [3, 1, 2],
        [0, 5, 1],
        [1, 2, 3],
        [-1, -2, -3],
      ]);
      expect(accuracy(logits, [0, 1, 2, 0])).toBe(1);
      expect(accuracy(logits, [0, 1, 0, 2])).toBe(0.5);
      expect(accuracy(logits, tensor([1, 0, 0, 0], { dtype: "int64" }))).toBe(0.25);
      expect(accuracy(logits.to("bfloat16"), tensor([0, 1, 2, 1], { dtype: "uint8" }))).toBe(0.75);
    }));

  it("is exact for counts that a float32 mean would round", () =>
    tidy(() => {
      const labels = Array.from({ length: 30_000 }, (_, i) => Number(i % 3 === 0));
      expect(accuracy(tensor([[1, 0]]).repeat([30_000, 1]), labels)).toBe(20_000 / 30_000);
    }));

  it("predicts the first class of a tie, and no class where a logit is NaN", () =>
    tidy(() => {
      expect(accuracy(tensor([[2, 2, 1]]), [0])).toBe(1);
      expect(accuracy(tensor([[2, 2, 1]]), [1])).toBe(0);
      for (const label of [0, 1, 2]) expect(accuracy(tensor([[2, Number.NaN, 1]]), [label])).toBe(0);
      expect(accuracy(tensor([[2, Number.POSITIVE_INFINITY]]), [1])).toBe(1);
    }));

  it("reads a single logit by its sigmoid, which tells two classes apart", () =>
    tidy(() => {
      const logits = tensor([[2], [-1], [0.5], [-3], [Number.NaN], [0]]);
      expect(accuracy(logits, [1, 0, 0, 1, 1, 0])).toBe(0.5);
      expect(() => accuracy(logits, [1, 0, 0, 2, 1, 0])).toThrow(/label 3 must be 0 to 1, got 2/);
    }));

  const gone = rand([2, 3]);
  gone.dispose();

  it.each<[string, Tensor, readonly number[] | Tensor, string, RegExp]>([
    ["logits of another rank", zeros([3]), [0, 1, 2], "E_SHAPE", /logits must be \[N, C\], got \[3\]/],
    ["an empty batch", zeros([0, 3]), [], "E_SHAPE", /logits have no samples/],
    ["labels of another count", zeros([2, 3]), [0], "E_SHAPE", /expected 2 labels/],
    ["a label out of range", zeros([2, 3]), [0, 3], "E_ARGUMENT", /label 1 must be 0 to 2, got 3/],
    ["fractional labels", zeros([2, 3]), [0, 0.5], "E_DTYPE", /label 1 must be a class index/],
    ["disposed logits", gone, [0, 1], "E_DISPOSED", /logits: the tensor was disposed/],
    ["no tensor", [[1, 2]] as unknown as Tensor, [0], "E_ARGUMENT", /logits: expected a Tensor/],
  ])("refuses %s", (_, logits, labels, code, message) => {
    expect(() => accuracy(logits, labels)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
    expect(() => accuracy(logits, labels)).toThrow(/^accuracy: /);
  });
});
