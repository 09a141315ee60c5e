import { describe, expect, it } from "vitest";
import { BatchCamError } from "../errors.ts";
import { backward, empty, grad, noGrad, ones, type Tensor, tensor, zeros } from "../tensor/index.ts";
import {
  type CallValue,
  callOperator,
  findOperator,
  isNoGradView,
  isOverwritten,
  isUnused,
} from "../tensor/internal.ts";
import { codeOfSentence, SENTENCES } from "./libtorch-sentences.ts";
import { explained, failureKind, overwrittenOperator } from "./native-error.ts";

/** Calls an operator of libtorch by its name, without any check of this package. */
function call(name: string, ...values: (CallValue | undefined)[]): CallValue {
  const [base, overload = ""] = name.split(".") as [string, string?];
  const operator = findOperator(`aten::${base}`, overload);
  if (operator === null) throw new Error(`this libtorch has no ${name}`);
  return callOperator(operator, values);
}

function failureOf(run: () => unknown): BatchCamError {
  try {
    run();
  } catch (error) {
    if (error instanceof BatchCamError) return error;
    throw error;
  }
  throw new Error("the call did not fail");
}

const m = ones([2, 3]);
const int = ones([2, 3], { dtype: "int64" });
const x = ones([1, 3, 4, 4]);

/** A call whose sentence only this pattern matches, for each pattern of the list. */
const CALLS: Readonly<Record<string, () => unknown>> = {
  dtype: () => call("masked_fill_.Scalar", zeros([2]), ones([2]), 0),
  "scalar type": () => call("mv", m, ones([3], { dtype: "int64" })),
  ScalarType: () => call("_nested_tensor_from_mask", ones([1, 2, 3]), ones([1, 2])),
  "can't be cast": () => call("add_.Scalar", ones([2], { dtype: "int64" }), 0.5),
  "not implemented for '": () => call("gelu", int),
  "input type": () => call("conv2d", x, ones([2, 3, 1, 1]), ones([2], { dtype: "float64" })),
  LongTensor: () => call("one_hot", tensor([1]), 3),
  "boolean tensor": () => call("_masked_softmax", m, m),
  size: () => call("mv", m, ones([2])),
  shape: () => call("mm", m, m),
  dimension: () => call("reshape", m, [-1, -1]),
  "\\bdims?\\b": () => call("permute", m, [0, 0]),
  "\\dD tensor": () => call("bmm", m, m),
  "number of channels": () => call("channel_shuffle", x, 2),
  "out of range": () => call("topk", m, 4, 1),
  "expected \\d": () => call("adaptive_max_pool2d_backward", ones([2]), x, int),
  "at least \\d": () => call("matmul", ones([]), m),
  "elements not": () => call("batch_norm", x, null, null, ones([2]), ones([2]), false, 0.1, 1e-5, false),
};

describe("the sentences of libtorch", () => {
  it.each(SENTENCES.map(([code, pattern]) => [pattern.source, code] as const))(
    "have a real operator for each pattern, which no other pattern matches (%s)",
    (source, code) => {
      const error = failureOf(CALLS[source] as () => unknown);
      expect(error.code, error.message).toBe(code);
      const others = SENTENCES.filter(([, pattern]) => pattern.source !== source);
      expect(codeOfSentence(error.message, others), error.message).toBe("E_NATIVE");
    },
  );

  it("are read without the call before them", () => {
    expect(codeOfSentence("resize(size Float[2]): no such thing")).toBe("E_NATIVE");
  });

  it("are not read if the failure has a kind of its own", () => {
    // If the kind were not known, this sentence would count as a wrong shape, because it mentions dimensions.
    const disposed = zeros([2]);
    disposed.dispose();
    expect(failureOf(() => disposed.sum()).code).toBe("E_DISPOSED");
    expect(failureKind(failureOf(() => call("select.int", m, 5, 0)))).toBe("index");
    expect(failureKind(failureOf(() => empty([2 ** 45])))).toBe("memory");
    expect(failureKind(failureOf(() => call("linalg_inv", zeros([2, 2]))))).toBe("linear algebra");
    expect(failureKind(failureOf(() => call("nll_loss_nd", m, tensor([0n]))))).toBe("value");
  });
});

describe("failures of autograd", () => {
  const leaf = () => ones([2, 3], { requiresGrad: true });

  it("are recognised if a value was overwritten, with the operator that made it", () => {
    const from = leaf();
    const y = from.exp();
    y.mul_(2);
    const error = failureOf(() => grad(y.sum(), [from]));
    expect(failureKind(error)).toBe("overwritten");
    expect([isOverwritten(error), isUnused(error), overwrittenOperator(error)]).toEqual([true, false, "Exp"]);
    const again = from.exp();
    again.mul_(2);
    expect(isOverwritten(failureOf(() => backward(again.sum())))).toBe(true);
  });

  it.each<[string, () => unknown, boolean]>([
    ["a leaf", () => leaf().add_(1), false],
    ["a view of a leaf", () => leaf().select(0, 0).add_(1), false],
    ["one of several views", () => (leaf().mul(2).unbind(0)[0] as Tensor).mul_(2), false],
    ["a list that is written to", () => call("_foreach_mul_.Scalar", [leaf()], 2), false],
    [
      "a view that was made in noGrad",
      () => noGrad(() => zeros([2, 3]).select(0, 0)).mul_(ones([3], { requiresGrad: true })),
      true,
    ],
  ])("are recognised if autograd refuses an in-place operator (%s)", (_, run, noGradView) => {
    const error = failureOf(run);
    expect([error.code, isOverwritten(error), isNoGradView(error)]).toEqual(["E_NATIVE", true, noGradView]);
  });

  it("are recognised if a view that was made in noGrad is read after its memory was written to", () => {
    const base = zeros([2, 3]);
    const view = noGrad(() => base.select(0, 0));
    base.mul_(leaf());
    const error = failureOf(() => view.mul(2));
    expect([isOverwritten(error), isNoGradView(error)]).toEqual([true, true]);
  });

  it("are not mistaken for refused writes if another argument is wrong", () => {
    const y = leaf().mul(2);
    for (const run of [() => y.add_(ones([4])), () => noGrad(() => leaf().add_(ones([4])))]) {
      const error = failureOf(run);
      expect([error.code, isOverwritten(error)]).toEqual(["E_SHAPE", false]);
    }
  });

  it.each<[string, () => unknown]>([
    ["an output without a graph", () => grad(ones([]), [leaf()])],
    ["a loss without a graph", () => backward(ones([]))],
    ["an input without a gradient", () => grad(leaf().sum(), [m])],
    ["an input that the output does not depend on", () => grad(leaf().sum(), [leaf()])],
  ])("are recognised if there is no gradient (%s)", (_, run) => {
    const error = failureOf(run);
    expect([error.code, isUnused(error), isOverwritten(error)]).toEqual(["E_NATIVE", true, false]);
  });

  it("stay recognised when more is said about them, or when a caller throws its own error for them", () => {
    const error = failureOf(() => leaf().add_(1));
    expect(isOverwritten(explained(error, "E_CONFIG", "more"))).toBe(true);
    expect(isOverwritten(new Error("of a caller", { cause: error }))).toBe(true);
    expect(isOverwritten(new BatchCamError("E_CONFIG", "a diagnosis", { cause: error }))).toBe(false);
    expect(isOverwritten(new Error("a leaf Variable is being used in an in-place operation"))).toBe(false);
  });
});
