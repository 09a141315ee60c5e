import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { avgPool2d, backward, conv2d, type DType, grad, maxPool2d, randn, type Tensor, tidy } from "./index.ts";
import { callOperator, findOperator, type OperatorSchema } from "./internal.ts";

const HUGE = [32_767, 32_768, 65_536, 2 ** 20, 2 ** 31 - 1, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER];

function leaf(sizes: readonly number[], dtype: DType = "float32"): Tensor {
  const tensor = randn([...sizes])
    .to(dtype)
    .detach();
  tensor.requiresGrad = true;
  return tensor;
}

const numbersOf = (tensor: Tensor): number[] => Array.from(tensor.to("float32").data(), Number);

describe("a stride that is larger than the padded input", () => {
  it("gives the result and the gradients of any stride that leaves one position", () => {
    const sizes = fc.record({ side: fc.integer({ min: 3, max: 9 }), k: fc.integer({ min: 1, max: 3 }) });
    const given = fc.tuple(
      sizes,
      fc.integer({ min: 0, max: 3 }),
      fc.constantFrom(1, 2),
      fc.constantFrom(...HUGE.slice(0, 6)),
    );
    fc.assert(
      fc.property(
        given,
        fc.constantFrom<DType>("float32", "bfloat16"),
        ([{ side, k }, padding, groups, stride], dtype) =>
          tidy(() => {
            const [x, w] = [leaf([2, 4, side, side], dtype), leaf([4, 4 / groups, k, k], dtype)];
            const [ours, expected] = [stride, side + 2 * padding].map((step) => {
              const y = conv2d(x, w, null, { stride: [step, 2], padding, groups });
              return [y, ...grad(y.square().sum(), [x, w])].map(numbersOf);
            });
            expect(ours).toEqual(expected);
          }),
      ),
      { numRuns: 30 },
    );
  });

  it("has second derivatives", () => {
    tidy(() => {
      const [x, w] = [leaf([2, 4, 5, 5]), leaf([4, 4, 3, 3])];
      const second = [65_536, 5].map((stride) => {
        const [dx] = grad(conv2d(x, w, null, { stride }).square().sum(), [x], { createGraph: true });
        return numbersOf(grad((dx as Tensor).square().sum(), [w])[0] as Tensor);
      });
      expect(second[0]).toEqual(second[1]);
    });
  });

  it("is refused if it matters and oneDNN would crash", () => {
    const x = leaf([1, 1, 1, 100_000]);
    expect(() => conv2d(x, leaf([1, 1, 1, 8]), null, { stride: 65_536 })).toThrow(
      expect.objectContaining({
        code: "E_SHAPE",
        message:
          "conv2d(input Float[1, 1, 1, 100000], weight Float[1, 1, 1, 8]): the stride must be at most 32767, got 65536",
      }),
    );
    expect(() => conv2d(leaf([1, 4, 5, 5]), leaf([4, 4, 4, 4]), null, { stride: 16_384, padding: 8192 })).toThrow(
      expect.objectContaining({
        code: "E_SHAPE",
        message: expect.stringMatching(/product of the strides must be at most/),
      }),
    );
    backward(conv2d(x, leaf([1, 1, 1, 8]), null, { stride: 1000 }).sum());
  });
});

describe("a padding", () => {
  it("is refused if it is so large that oneDNN may corrupt memory", () => {
    for (const padding of [40_000, [1, 65_536] as [number, number]]) {
      const largest = typeof padding === "number" ? padding : padding[1];
      expect(() => conv2d(leaf([1, 1, 4, 4]), leaf([1, 1, 3, 3]), null, { padding })).toThrow(
        expect.objectContaining({
          code: "E_SHAPE",
          message: expect.stringContaining(`the padding must be at most 32767, got ${largest}`),
        }),
      );
    }
  });
});

describe("windows of huge sizes", () => {
  const operator = (name: string): OperatorSchema => findOperator(`aten::${name}`, "") as OperatorSchema;
  const outcome = (fn: () => Tensor): void =>
    tidy(() => {
      try {
        const y = fn();
        if (y.requiresGrad && y.numel < 1e6) backward(y.to("float32").square().sum());
      } catch (error) {
        expect(error).toMatchObject({ name: "BatchCamError" });
      }
    });

  it("are a result or an error in each place of a convolution", () => {
    for (const dtype of ["float32", "bfloat16"] as const)
      for (const huge of HUGE)
        for (const [stride, padding, dilation, groups] of [
          [huge, 0, 1, 1],
          [1, 0, huge, 1],
          [1, 0, 1, huge],
          [huge, 1, huge, 1],
        ])
          for (const transposed of huge > 2 ** 20 ? [false, true] : [false])
            outcome(() => {
              const [x, w] = [leaf([2, 4, 5, 5], dtype), leaf([4, 4, 3, 3], dtype)];
              const [s, p, d] = [stride, padding, dilation].map((n) => [n as number, n as number]) as number[][];
              return callOperator(operator("convolution"), [
                x,
                w,
                null,
                s,
                p,
                d,
                transposed,
                [0, 0],
                groups,
              ] as never) as Tensor;
            });
  });

  it("are a result or an error of pooling and unfolding", () => {
    for (const huge of HUGE) {
      outcome(() => maxPool2d(leaf([1, 2, 5, 5]), 2, { stride: huge, padding: 1, ceilMode: true }));
      outcome(() => avgPool2d(leaf([1, 2, 5, 5]), 2, { stride: huge, padding: 1, ceilMode: true }));
      outcome(() => maxPool2d(leaf([1, 2, 5, 5]), huge, { padding: 1 }));
      outcome(
        () =>
          callOperator(operator("im2col"), [
            leaf([1, 2, 5, 5]),
            [2, 2],
            [1, 1],
            [1, 1],
            [huge, huge],
          ] as never) as Tensor,
      );
    }
  });

  it("may not step over the whole input in maximum pooling, where libtorch writes outside of the gradient", () => {
    for (const [name, rank] of [
      ["max_pool1d", 1],
      ["max_pool2d", 2],
      ["max_pool3d", 3],
    ] as const) {
      const pool = (side: number, dilation: number) => {
        const [two, one, many] = [2, 1, dilation].map((n) => Array(rank).fill(n) as number[]);
        return callOperator(operator(name), [
          leaf([2, 1, ...Array(rank).fill(side)]),
          two,
          one,
          one,
          many,
          true,
        ] as never) as Tensor;
      };
      expect(() => pool(2, 3)).toThrow(/the dilation must be at most the size of the input, 2, got 3/);
      expect(() => pool(5, 65_536)).toThrow(/at most the size of the input, 5, got 65536/);
      backward(pool(5, 3).sum());
    }
  });
});
