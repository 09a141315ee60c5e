import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { BatchCamError } from "../errors.ts";
import { arange, type NestedArray, ones, tensor, zeros } from "./index.ts";

const readBack = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe("JSON.stringify of a tensor", () => {
  it.each([
    ["a matrix", tensor([[1.5, 2]]), [[1.5, 2]]],
    ["a scalar", tensor(3), 3],
    ["booleans", tensor([true, false]), [true, false]],
    ["int64", arange(3), [0, 1, 2]],
    ["bfloat16", tensor([1.5], { dtype: "bfloat16" }), [1.5]],
    ["no values", zeros([2, 0]), [[], []]],
    ["a transposed view", tensor([[1, 2]]).t(), [[1], [2]]],
    ["a tensor that records gradients", ones([1], { requiresGrad: true }), [1]],
    ["the largest int64 that JSON keeps", tensor([BigInt(Number.MAX_SAFE_INTEGER)]), [Number.MAX_SAFE_INTEGER]],
  ])("writes %s as nested arrays", (_, x, expected) => {
    expect(readBack(x)).toEqual(expected);
  });

  it("writes tensors within other values", () => {
    expect(readBack({ step: 3, loss: tensor(0.5), maps: [ones([1, 2])] })).toEqual({
      step: 3,
      loss: 0.5,
      maps: [[[1, 1]]],
    });
  });

  it("writes null for NaN and infinity, as JSON does", () => {
    expect(JSON.stringify(tensor([Number.NaN, Number.POSITIVE_INFINITY, 1]))).toBe("[null,null,1]");
  });

  it("keeps every float32 value", () => {
    fc.assert(
      fc.property(fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1 }), (values) => {
        const x = tensor(values);
        expect(
          tensor(readBack(x) as NestedArray)
            .eq(x)
            .all()
            .item(),
        ).toBe(1);
      }),
    );
  });

  it("refuses a tensor that nobody means to log, and says what to do instead", () => {
    expect(() => JSON.stringify({ weight: zeros([2 ** 10, 2 ** 10 + 1]) })).toThrow(
      expect.objectContaining<Partial<BatchCamError>>({
        code: "E_ARGUMENT",
        message: expect.stringMatching(
          /^toJSON: .*at most 1048576 values, got \[1024, 1025\]: save it with saveSafetensors/,
        ),
      }),
    );
    expect((readBack(zeros([2 ** 20])) as number[]).length).toBe(2 ** 20);
  });

  it("refuses int64 values that JSON would round, and a disposed tensor, by name", () => {
    expect(() => JSON.stringify(tensor([[1n, 2n ** 60n]]))).toThrow(/^toJSON: expected int64 values from/);
    const x = ones([2]);
    x.dispose();
    expect(() => JSON.stringify(x)).toThrow(expect.objectContaining({ code: "E_DISPOSED" }));
  });
});

describe("inspect of values that hold tensors", () => {
  it("prints each as torch does, indented", () => {
    expect(inspect({ x: tensor([[1], [2]]) })).toBe("{\n  x: tensor([[1.],\n          [2.]])\n}");
    expect(`${tensor(1.5)}`).toBe("tensor(1.5000)");
  });
});
