import { describe, expect, it } from "vitest";
import {
  autocast,
  backward,
  batchNorm,
  cat,
  conv2d,
  enableGrad,
  gelu,
  grad,
  interpolate,
  isGradEnabled,
  layerNorm,
  linear,
  logSoftmax,
  manualSeed,
  maxPool2d,
  noGrad,
  ones,
  randn,
  stack,
  type Tensor,
  tensor,
  tidy,
  where,
  zeros,
} from "./index.ts";

const code = (code: string, message: RegExp) =>
  expect.objectContaining({ name: "BatchCamError", code, message: expect.stringMatching(message) });
const float64 = (shape: number[]) => randn(shape, { dtype: "float64" });

describe("grad", () => {
  it("gives the vector-Jacobian product of several outputs for several inputs", () => {
    const x = tensor([1, 2, 3], { requiresGrad: true });
    const y = tensor([4, 5, 6], { requiresGrad: true });
    const [dx, dy] = grad([x.mul(y).sum(), x.square().sum()], [x, y]) as [Tensor, Tensor];
    expect(dx).toBeAllclose([6, 9, 12]);
    expect(dy).toBeAllclose([1, 2, 3]);
    expect([x.grad, dx.requiresGrad]).toEqual([null, false]);
    const [weighted] = grad(x.square(), x, { gradOutputs: tensor([1, 0, 10]) }) as [Tensor];
    expect(weighted).toBeAllclose([2, 0, 60]);
    expect(grad(x.square(), [x], { gradOutputs: [ones([3])] })[0]).toBeAllclose([2, 4, 6]);
  });

  it("keeps the graph of the gradients on request, to any order", () => {
    const x = tensor(2, { requiresGrad: true, dtype: "float64" });
    let derivative = x.pow(4);
    for (const expected of [32, 48, 48, 24]) {
      derivative = grad(derivative, [x], { createGraph: true })[0] as Tensor;
      expect(derivative.item()).toBe(expected);
    }
  });

  it("gives zeros, in the input's shape, for an input that the outputs do not depend on, where that is allowed", () => {
    const x = tensor([[1, 2]], { requiresGrad: true, dtype: "float64" });
    const free = tensor([Number.NaN, 1], { requiresGrad: true, dtype: "float64" });
    expect(() => grad(x.sum(), [x, free])).toThrow(code("E_NATIVE", /not have been used in the graph/));
    const [, unused] = grad(x.sum(), [x, free], { allowUnused: true }) as [Tensor, Tensor];
    expect(unused.dtype).toBe("float64");
    expect(unused).toBeAllclose([0, 0]);
  });

  it("frees the graph after a call unless it is retained", () => {
    const x = tensor([1, 2], { requiresGrad: true });
    const loss = x.exp().sum();
    expect(grad(loss, [x], { retainGraph: true })[0]).toBeAllclose([Math.E, Math.E ** 2]);
    expect(grad(loss, [x])[0]).toBeAllclose([Math.E, Math.E ** 2]);
    expect(() => grad(loss, [x])).toThrow(code("E_NATIVE", /second time/));
  });

  it.each<[string, (x: Tensor) => unknown, string, RegExp]>([
    [
      "an output without a graph",
      (x) => grad(ones([]), [x]),
      "E_NATIVE",
      /does not require grad and does not have a grad_fn/,
    ],
    ["an input without a gradient", (x) => grad(x.sum(), [zeros([2])]), "E_NATIVE", /does not require grad/],
    [
      "a gradient of a gradient without createGraph",
      (x) => grad(grad(x.pow(3).sum(), [x]) as Tensor[], [x]),
      "E_NATIVE",
      /does not require grad/,
    ],
    ["an output that is no scalar", (x) => grad(x.mul(2), [x]), "E_NATIVE", /scalar/],
    [
      "too few output gradients",
      (x) => grad([x.mul(2), x.mul(3)], [x], { gradOutputs: [ones([2])] }),
      "E_NATIVE",
      /got 2 tensors and 1 gradients/,
    ],
    [
      "an output gradient of a wrong shape",
      (x) => grad(x.mul(2), [x], { gradOutputs: [ones([3])] }),
      "E_SHAPE",
      /shape|size/,
    ],
    ["no outputs", (x) => grad([], [x]), "E_ARGUMENT", /grad: needs outputs and inputs, got 0 and 1/],
    ["no inputs", (x) => grad(x.sum(), []), "E_ARGUMENT", /got 1 and 0/],
    [
      "undefined",
      (x) => grad(undefined as never, [x]),
      "E_ARGUMENT",
      /grad: outputs: expected a Tensor, got undefined/,
    ],
    [
      "a number for an input",
      (x) => grad(x.sum(), [3 as never]),
      "E_ARGUMENT",
      /grad: inputs: expected a Tensor, got 3/,
    ],
    [
      "null for output gradients",
      (x) => grad(x.sum(), [x], { gradOutputs: null as never }),
      "E_ARGUMENT",
      /gradOutputs: expected a Tensor, got null/,
    ],
    [
      "createGraph that is no boolean",
      (x) => grad(x.sum(), [x], { createGraph: 1 as never }),
      "E_ARGUMENT",
      /expected true or false, got 1/,
    ],
  ])("refuses %s", (_, call, expectedCode, message) => {
    expect(() => call(tensor([1, 2], { requiresGrad: true }))).toThrow(code(expectedCode, message));
  });

  it("refuses a graph whose values were changed in place", () => {
    const x = tensor([1, 2], { requiresGrad: true });
    const y = x.exp();
    y.mul_(2);
    expect(() => grad(y.sum(), [x])).toThrow(code("E_NATIVE", /modified by an inplace operation/));
    expect(() => x.add_(1)).toThrow(code("E_NATIVE", /leaf Variable that requires grad/));
  });
});

describe("backward", () => {
  it("adds to the gradients of the leaves", () => {
    const x = tensor([1, 2], { requiresGrad: true });
    backward(x.square().sum());
    backward(x.square().sum());
    expect(x.grad).toBeAllclose([4, 8]);
    backward(x.mul(2), { gradient: tensor([1, 10]) });
    expect(x.grad).toBeAllclose([6, 28]);
    x.grad = null;
    expect(x.grad).toBeNull();
  });

  it("takes a gradient that is set, if it has the tensor's shape and dtype", () => {
    const x = zeros([2], { requiresGrad: true });
    x.grad = tensor([3, 4]);
    expect(x.grad).toBeAllclose([3, 4]);
    for (const wrong of [zeros([3]), zeros([2, 1]), zeros([2], { dtype: "float64" }), zeros([2], { dtype: "int64" })]) {
      expect(() => {
        x.grad = wrong;
      }).toThrow(code("E_DTYPE", /grad: the gradient of Float\[2\] must have its shape and dtype, got/));
    }
    for (const wrong of [3, undefined, "x"]) {
      expect(() => {
        x.grad = wrong as never;
      }).toThrow(code("E_ARGUMENT", /grad: value: expected a Tensor/));
    }
    expect(x.grad).toBeAllclose([3, 4]);
  });

  it.each<[string, () => unknown, string, RegExp]>([
    ["a loss without a graph", () => backward(ones([])), "E_NATIVE", /does not require grad/],
    ["a loss that is no scalar", () => backward(ones([2], { requiresGrad: true }).mul(2)), "E_NATIVE", /scalar/],
    ["a number", () => backward(3 as never), "E_ARGUMENT", /backward: loss: expected a Tensor, got 3/],
    ["nothing", () => backward(undefined as never), "E_ARGUMENT", /got undefined/],
    ["a gradient of integers", () => ones([2], { dtype: "int64" }).requiresGrad_(), "E_DTYPE", /floating point/],
    [
      "requiresGrad of a result set to false",
      () => ones([2], { requiresGrad: true }).mul(2).requiresGrad_(false),
      "E_NATIVE",
      /requiresGrad: .* use detach\(\)/,
    ],
    [
      "requiresGrad set to a number",
      () => ones([2]).requiresGrad_(1 as never),
      "E_ARGUMENT",
      /requiresGrad: value: expected true or false, got 1/,
    ],
  ])("refuses %s", (_, call, expectedCode, message) => {
    expect(call).toThrow(code(expectedCode, message));
  });
});

describe("grad mode", () => {
  it("records nothing within noGrad, and something within enableGrad", () => {
    const x = ones([2], { requiresGrad: true });
    expect(isGradEnabled()).toBe(true);
    noGrad(() => {
      expect(isGradEnabled()).toBe(false);
      expect(x.mul(2).requiresGrad).toBe(false);
      expect(enableGrad(() => x.mul(2)).requiresGrad).toBe(true);
      expect(isGradEnabled()).toBe(false);
    });
    expect([isGradEnabled(), x.mul(2).requiresGrad]).toEqual([true, true]);
    expect(x.mul(2).detach().requiresGrad).toBe(false);
  });

  it("comes back after a throw and a refused promise", () => {
    expect(() => noGrad(() => zeros([-1]))).toThrow();
    expect(() => enableGrad(() => noGrad(() => zeros([-1])))).toThrow();
    expect(() => noGrad(async () => 1)).toThrow(code("E_ARGUMENT", /noGrad: .*synchronous/));
    expect(() => noGrad(3 as never)).toThrow(code("E_ARGUMENT", /noGrad: expected a function, got 3/));
    expect(isGradEnabled()).toBe(true);
  });
});

describe("autocast", () => {
  const x = randn([1, 2, 8, 8]);
  const w = randn([3, 2, 3, 3]);

  it("computes products and convolutions in 16 bits, sensitive operators in float32", () => {
    const dtypes = autocast({}, () => ({
      conv: conv2d(x, w).dtype,
      linear: linear(x, randn([4, 8])).dtype,
      matmul: x.matmul(x).dtype,
      softmax: conv2d(x, w).softmax(1).dtype,
      add: x.add(x).dtype,
    }));
    expect(dtypes).toEqual({
      conv: "bfloat16",
      linear: "bfloat16",
      matmul: "bfloat16",
      softmax: "bfloat16",
      add: "float32",
    });
    expect(autocast({ dtype: "float16" }, () => x.matmul(x)).dtype).toBe("float16");
    expect(conv2d(x, w).dtype).toBe("float32");
  });

  it("resizes maps in float32 all the same", () => {
    const resized = autocast({}, () => interpolate(x, { size: [28, 28] }));
    expect(resized.dtype).toBe("float32");
    expect(resized.data()).toEqual(interpolate(x, { size: [28, 28] }).data());
  });

  it("nests, and goes back to the state before, also after a throw", () => {
    const product = () => x.matmul(x).dtype;
    const seen = autocast({}, () => [
      product(),
      autocast({ enabled: false }, () => [product(), autocast({ dtype: "float16" }, product), product()]),
      product(),
    ]);
    expect(seen).toEqual(["bfloat16", ["float32", "float16", "float32"], "bfloat16"]);
    expect(() => autocast({}, () => zeros([-1]))).toThrow();
    expect(() => autocast({}, async () => 1)).toThrow(code("E_ARGUMENT", /autocast: .*synchronous/));
    expect(product()).toBe("float32");
  });

  it("gives float32 gradients for float32 weights, near those of float32", () => {
    const weight = randn([3, 2, 3, 3], { requiresGrad: true });
    const loss = () => conv2d(x, weight).to("float32").square().mean();
    const [mixed] = grad(autocast({}, loss), [weight]) as [Tensor];
    expect(mixed.dtype).toBe("float32");
    expect(mixed).toHaveRelL2(grad(loss(), [weight])[0] as Tensor, { relL2: 0.02 });
  });

  it("sees weights that were changed between two scopes", () => {
    const weight = ones([8, 8], { requiresGrad: true });
    const product = () => autocast({}, () => ones([1, 8]).matmul(weight).sum().item());
    expect(product()).toBe(64);
    noGrad(() => weight.mul_(2));
    expect(product()).toBe(128);
  });

  it.each<[string, () => unknown, RegExp]>([
    [
      "another dtype",
      () => autocast({ dtype: "float32" as never }, () => 1),
      /autocast: dtype: expected "bfloat16" or "float16", got "float32"/,
    ],
    [
      "enabled that is no boolean",
      () => autocast({ enabled: 1 as never }, () => 1),
      /autocast: enabled: expected true or false, got 1/,
    ],
    ["no function", () => autocast({}, undefined as never), /autocast: fn must be a function, got undefined/],
  ])("refuses %s", (_, call, message) => {
    expect(call).toThrow(code("E_ARGUMENT", message));
    expect(x.matmul(x).dtype).toBe("float32");
  });
});

/** ∂f/∂x by central differences, one element at a time. */
function numericalGradient(f: (x: Tensor) => Tensor, x: Tensor, step = 1e-6): Float64Array {
  const values = x.data() as Float64Array;
  return values.map((value, i) => {
    const at = (shifted: number) => {
      const moved = values.slice();
      moved[i] = shifted;
      return tidy(() => f(tensor(moved, { shape: x.shape })).item());
    };
    return (at(value + step) - at(value - step)) / (2 * step);
  });
}

/** The functions are smooth near the drawn points: in float64, the kinks of relu, abs and max are far from them. */
const COMPOSITES: Readonly<Record<string, readonly [readonly number[], (x: Tensor) => Tensor]>> = {
  arithmetic: [[3, 4], (x) => x.mul(x).add(1).div(x.square().add(2)).sub(x.exp().mul(0.1)).sum()],
  "logarithm, root and power": [
    [3, 4],
    (x) => x.square().add(0.5).log().add(x.square().add(1).sqrt()).add(x.square().add(1).pow(1.5)).sum(),
  ],
  "trigonometry and erf": [[3, 4], (x) => x.sin().mul(x.cos()).add(x.erf()).add(x.tanh()).add(x.sigmoid()).sum()],
  broadcast: [
    [3, 1],
    (x) =>
      x
        .mul(x.t())
        .add(x.reshape([1, 3]))
        .square()
        .mean(),
  ],
  shape: [
    [2, 3, 4],
    (x) =>
      cat([x.permute([2, 0, 1]).flatten(1), x.transpose(0, 2).reshape([4, 6])], 1)
        .square()
        .narrow(0, 1, 3)
        .sum(),
  ],
  indexing: [
    [4, 3],
    (x) =>
      x
        .indexSelect(0, tensor([0n, 2n, 2n]))
        .mul(x.select(1, 1).unsqueeze(0).narrow(1, 0, 3))
        .exp()
        .sum(),
  ],
  "gather and stack": [
    [3, 4],
    (x) =>
      stack([x.gather(1, tensor([[0n], [3n], [1n]])), x.select(1, 2).unsqueeze(1)])
        .square()
        .sum(),
  ],
  reductions: [
    [3, 4, 2],
    (x) =>
      x
        .mean([0, 2])
        .mul(x.var([0, 2]))
        .add(x.std([0, 2], { correction: 0 }))
        .add(x.norm([0, 2]))
        .sum(),
  ],
  "max, min and sort": [
    [3, 5],
    (x) =>
      x
        .amax(1)
        .mul(x.amin([1]))
        .add(x.sort(1).values.select(1, 2))
        .add(x.median(1).values)
        .add(x.max())
        .sum(),
  ],
  softmax: [[3, 5], (x) => logSoftmax(x, 1).mul(x.softmax(0)).sum()],
  "where and clamp": [
    [3, 5],
    (x) =>
      where(x.gt(0), x.square(), x.mul(3))
        .add(x.clamp(-0.5, 0.5))
        .add(x.abs())
        .add(x.maximum(x.mul(2)))
        .sum(),
  ],
  "matrix products": [
    [4, 4],
    (x) =>
      x
        .matmul(x.t())
        .mm(x)
        .add(x.unsqueeze(0).bmm(x.unsqueeze(0)).squeeze(0))
        .square()
        .mean(),
  ],
  "linear and gelu": [
    [3, 5],
    (x) =>
      gelu(linear(x, x, x.select(1, 0)), { approximate: "tanh" })
        .add(gelu(x.matmul(x.t())))
        .sum(),
  ],
  convolution: [
    [2, 2, 5, 5],
    (x) =>
      conv2d(x, x.narrow(2, 0, 3).narrow(3, 1, 3), x.select(0, 0).select(1, 0).select(1, 0), { padding: 1, stride: 2 })
        .square()
        .sum(),
  ],
  "grouped convolution": [
    [1, 4, 5, 5],
    (x) =>
      conv2d(x, x.narrow(2, 0, 3).narrow(3, 0, 3).reshape([4, 1, 3, 3]), null, { groups: 4, dilation: 2, padding: 2 })
        .square()
        .mean(),
  ],
  "batch norm": [
    [4, 2, 3, 3],
    (x) =>
      batchNorm(x, { weight: x.select(0, 0).select(1, 0).select(1, 0), training: true })
        .pow(3)
        .sum(),
  ],
  "layer norm": [
    [3, 6],
    (x) =>
      layerNorm(x, [6], { weight: x.select(0, 0), bias: x.select(0, 1), eps: 1e-6 })
        .pow(3)
        .sum(),
  ],
  pooling: [[1, 2, 6, 6], (x) => maxPool2d(x, 3, { stride: 2, padding: 1 }).square().sum()],
  interpolation: [
    [2, 3, 3],
    (x) =>
      interpolate(x, { size: [7, 5] })
        .mul(interpolate(x, { size: [7, 5] }))
        .sum(),
  ],
  "lerp and cumsum": [[3, 4], (x) => x.lerp(x.exp(), 0.3).cumsum(1).square().mean()],
};

describe.each(Object.entries(COMPOSITES))("the gradient of %s", (_, [shape, f]) => {
  it("agrees with finite differences", () => {
    manualSeed(11);
    const x = float64([...shape]).requiresGrad_();
    const [gradient] = grad(f(x), [x]) as [Tensor];
    expect(gradient.reshape([-1])).toHaveRelL2(numericalGradient(f, x), { relL2: 1e-7, absL2: 1e-8 });
  });

  it("has itself a gradient that does", () => {
    manualSeed(12);
    const x = float64([...shape]).requiresGrad_();
    const direction = float64([...shape]);
    const slope = (at: Tensor) => (grad(f(at), [at], { createGraph: true })[0] as Tensor).mul(direction).sum();
    const [second] = grad(slope(x), [x], { allowUnused: true }) as [Tensor];
    const numerical = numericalGradient((at) => slope(at.requiresGrad_()), x, 1e-5);
    expect(second.reshape([-1])).toHaveRelL2(numerical, { relL2: 1e-6, absL2: 1e-6 });
  });
});
