import { describe, expect, it } from "vitest";
import { apart, double, fresh } from "../../test/support/apart.ts";
import { type ConvNextMlpWeights, convNextMlp, depthwiseConv, hasConvNextMlp, layerNormOf } from "./fused-ops.ts";
import { conv2d, gelu, grad, layerNorm, linear, manualSeed, randn, type Tensor } from "./index.ts";

/** The result, the gradients with respect to `inputs`, and the derivatives of the first gradient along a random direction. */
function measured(run: (inputs: Tensor[]) => Tensor, inputs: Tensor[]): Tensor[] {
  const leaves = inputs.map(fresh);
  const y = run(leaves);
  manualSeed(5);
  const direction = (t: Tensor) => randn(t.sizes).to(t.dtype);
  const gradients = grad(y, leaves, { gradOutputs: [direction(y)], createGraph: true }) as Tensor[];
  const [dx] = gradients as [Tensor];
  const second = grad(dx, leaves, { gradOutputs: [direction(dx)], allowUnused: true });
  return [y, ...gradients, ...second.filter((t) => t !== null)];
}

/**
 * The gradient with respect to the first input alone, as maps of an earlier layer need it, its derivatives with respect to all inputs and
 * the incoming gradient; and for float32 third derivatives, because those of bfloat16 have lost most of their digits.
 */
function measuredByFirst(run: (inputs: Tensor[]) => Tensor, inputs: Tensor[], third = true): Tensor[] {
  const leaves = inputs.map(fresh);
  const y = run(leaves);
  manualSeed(6);
  const direction = (t: Tensor) => randn(t.sizes).to(t.dtype);
  const dy = fresh(direction(y));
  const [dx] = grad(y, leaves.slice(0, 1), { gradOutputs: [dy], createGraph: true }) as [Tensor];
  const options = { gradOutputs: [direction(dx)], allowUnused: true };
  const second = grad(dx, [...leaves, dy], { ...options, retainGraph: true });
  if (!third) return [dx, ...second].filter((t) => t !== null);
  const [again] = grad(dx, leaves.slice(0, 1), { ...options, createGraph: true }) as [Tensor];
  const last = grad(again, [...leaves, dy], { gradOutputs: [direction(dx)], allowUnused: true });
  return [dx, ...second, ...last].filter((t) => t !== null);
}

/** The largest relative error of a kernel's results, compared with the same formula in float64. */
function furthest(
  inputs: Tensor[],
  kernel: (inputs: Tensor[]) => Tensor,
  formula: (inputs: Tensor[]) => Tensor,
  results: typeof measuredByFirst = measured,
) {
  const third = (inputs[0] as Tensor).dtype === "float32";
  const found = results(kernel, inputs, third);
  const wanted = results(formula, inputs.map(double), third);
  expect(found.length).toBe(wanted.length);
  return Math.max(...found.map((t, i) => apart(t, wanted[i] as Tensor)));
}

describe("depthwiseConv", () => {
  const kernel = ([x, w, bias]: Tensor[]) => depthwiseConv(x as Tensor, w as Tensor, bias as Tensor);
  const formula = ([x, w, bias]: Tensor[]) => {
    const [channels = 0, , side = 0] = (w as Tensor).sizes;
    const images = (x as Tensor).permute([0, 3, 1, 2]);
    const options = { padding: (side - 1) / 2, groups: channels };
    return conv2d(images, w as Tensor, bias as Tensor, options).permute([0, 2, 3, 1]);
  };

  it.each([
    { side: 3, channels: 5, height: 1, width: 9 },
    { side: 5, channels: 16, height: 7, width: 15 },
    { side: 7, channels: 21, height: 10, width: 4 },
  ])("has float64's values, gradients and second derivatives: $side, $channels channels, $height x $width", (shape) => {
    const { side, channels, height, width } = shape;
    manualSeed(3);
    const inputs = [randn([3, height, width, channels]), randn([channels, 1, side, side]), randn([channels])];
    expect(furthest(inputs, kernel, formula)).toBeLessThan(1e-6);
    const [x, ...others] = inputs as [Tensor, ...Tensor[]];
    // The relative rounding error of bfloat16 is at most 2⁻⁹, and a second derivative is rounded four times.
    expect(furthest([x.to("bfloat16"), ...others], kernel, formula)).toBeLessThan(2 ** -7);
  });

  it.each([
    ["an even kernel", [4, 1, 4, 4], /3x3, 5x5 or 7x7/],
    ["weights of other channels", [3, 1, 3, 3], /weight must have the shape \(C, 1, k, k\)/],
  ] as const)("refuses %s", (_, weight, message) => {
    expect(() => depthwiseConv(randn([1, 5, 5, 4]), randn(weight), randn([4]))).toThrow(message);
  });
});

describe("layerNormOf", () => {
  const weightsOf = ([weight, bias]: Tensor[]) => ({ weight: weight as Tensor, bias: bias as Tensor, eps: 1e-6 });
  const kernel = ([x, ...weights]: Tensor[]) => layerNormOf(x as Tensor, weightsOf(weights));
  const formula = ([x, ...weights]: Tensor[]) =>
    layerNorm(x as Tensor, [(x as Tensor).sizes.at(-1) as number], weightsOf(weights));

  it.each([{ sizes: [3, 2, 5, 40] }, { sizes: [600, 13] }, { sizes: [1, 1, 1, 320] }])(
    "has float64's values, gradients and second derivatives: $sizes",
    ({ sizes }) => {
      manualSeed(8);
      const channels = sizes.at(-1) as number;
      const [x, ...weights] = [randn(sizes), randn([channels]), randn([channels])] as [Tensor, ...Tensor[]];
      for (const results of [measured, measuredByFirst]) {
        expect(furthest([x, ...weights], kernel, formula, results)).toBeLessThan(3e-6);
        // Second derivatives are differences of larger terms. The bound is that of the MLP, which begins with this norm.
        expect(furthest([x.to("bfloat16"), ...weights], kernel, formula, results)).toBeLessThan(6e-2);
      }
    },
  );

  it("refuses weights that do not fit", () => {
    expect(() => layerNormOf(randn([2, 3]), weightsOf([randn([2]), randn([2])]))).toThrow(/x's last dimension/);
    expect(() => layerNormOf(randn([2, 3]).to("float64"), weightsOf([randn([3]), randn([3])]))).toThrow(/dtype Double/);
  });
});

describe("convNextMlp", () => {
  const weightsOf = ([normWeight, normBias, w1, b1, grnWeight, grnBias, w2, b2]: Tensor[]) =>
    ({
      norm: { weight: normWeight, bias: normBias, eps: 1e-6 },
      fc1: { weight: w1, bias: b1 },
      grn: { weight: grnWeight, bias: grnBias, eps: 1e-6 },
      fc2: { weight: w2, bias: b2 },
    }) as ConvNextMlpWeights;
  const kernel = ([x, residual, ...weights]: Tensor[]) =>
    convNextMlp(x as Tensor, residual as Tensor, weightsOf(weights));
  const formula = ([x, residual, ...weights]: Tensor[]) => {
    const { norm, fc1, grn, fc2 } = weightsOf(weights);
    const normed = layerNorm(x as Tensor, [(x as Tensor).sizes[3] as number], norm);
    const g = gelu(linear(normed, fc1.weight, fc1.bias));
    const energy = g.square().sum([1, 2], { keepDims: true }).sqrt();
    const response = energy.div(energy.mean([3], { keepDims: true }).add(grn.eps));
    const scaled = g.mul(response.mul(grn.weight).add(1)).add(grn.bias);
    return (residual as Tensor).add(linear(scaled, fc2.weight, fc2.bias));
  };
  const inputsOf = (samples: number, [height, width]: readonly [number, number], channels: number) => {
    const hidden = 4 * channels;
    const maps = [samples, height, width, channels];
    const weights = [[channels], [channels], [hidden, channels], [hidden], [hidden], [hidden], [channels, hidden]];
    const inputs = [maps, maps, ...weights, [channels]].map((sizes) => randn(sizes));
    inputs[4]?.mul_(channels ** -0.5);
    return inputs;
  };

  it.each([
    { samples: 1, size: [3, 3], channels: 6 },
    { samples: 5, size: [4, 6], channels: 24 },
    { samples: 7, size: [3, 3], channels: 20 },
    { samples: 9, size: [1, 1], channels: 10 },
  ] as const)("has float64's values, gradients and second derivatives: $samples of $size x $channels", (shape) => {
    manualSeed(4);
    const inputs = inputsOf(shape.samples, shape.size, shape.channels);
    if (hasConvNextMlp("float32"))
      for (const results of [measured, measuredByFirst])
        expect(furthest(inputs, kernel, formula, results)).toBeLessThan(1e-5);
    if (!hasConvNextMlp("bfloat16")) return;
    // The same bound as for whole networks of this block in nn/fused-training.test.ts.
    const [x, residual, ...weights] = inputs as [Tensor, Tensor, ...Tensor[]];
    const rounded = [x.to("bfloat16"), residual.to("bfloat16"), ...weights];
    for (const results of [measured, measuredByFirst])
      expect(furthest(rounded, kernel, formula, results)).toBeLessThan(6e-2);
  });

  it.skipIf(!hasConvNextMlp("float32"))("gives channels that are zero at every pixel no gradient by their norm", () => {
    manualSeed(4);
    const inputs = inputsOf(2, [3, 5], 8);
    (inputs[5] as Tensor).narrow(0, 0, 9).fill_(-1000); // gelu is zero there, and so is the norm
    for (const results of [measured, measuredByFirst])
      for (const t of results(kernel, inputs)) expect(t.isfinite().all().item()).toBe(1);
  });

  it.skipIf(!hasConvNextMlp("bfloat16"))("refuses an odd number of channels in bfloat16", () => {
    const [x, residual, ...weights] = inputsOf(1, [2, 2], 5) as [Tensor, Tensor, ...Tensor[]];
    const run = () => convNextMlp(x.to("bfloat16"), residual.to("bfloat16"), weightsOf(weights));
    expect(run).toThrow(/x must have an even number of channels in bfloat16, got 5/);
  });

  it.skipIf(!hasConvNextMlp("float32"))("refuses weights that do not fit the maps", () => {
    const [x, residual, ...weights] = inputsOf(1, [2, 2], 4) as [Tensor, Tensor, ...Tensor[]];
    weights[2] = randn([16, 5]);
    expect(() => convNextMlp(x, residual, weightsOf(weights))).toThrow(/do not fit x of shape \[1, 2, 2, 4\]/);
  });
});
