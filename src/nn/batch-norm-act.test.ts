import { describe, expect, it } from "vitest";
import { apart, double, fresh } from "../../test/support/apart.ts";
import { batchNormAct } from "../tensor/fused-ops.ts";
import { grad, manualSeed, ones, randn, type Tensor, zeros } from "../tensor/index.ts";

const EPS = 1e-3;

interface Inputs {
  x: Tensor;
  weight: Tensor;
  bias: Tensor;
  add: Tensor | undefined;
}

/** relu(norm(x) + add) in float64, one operation at a time. The mask `kept` determines which values the ReLU passes. */
function reference({ x, weight, bias, add }: Inputs, kept: Tensor | null): Tensor {
  const mean = (t: Tensor) => t.mean([0, 2, 3], { keepDims: true });
  const distance = x.sub(mean(x));
  const hat = distance.div(mean(distance.square()).add(EPS).sqrt());
  const normed = hat.mul(weight.view([-1, 1, 1])).add(bias.view([-1, 1, 1]));
  const sum = add === undefined ? normed : normed.add(add);
  return kept === null ? sum : sum.mul(kept);
}

function fused({ x, weight, bias, add }: Inputs, relu: boolean): Tensor {
  const channels = x.sizes[1] as number;
  const running = { runningMean: zeros([channels]), runningVar: ones([channels]), momentum: 0.1 };
  return batchNormAct(x, { weight, bias, add, relu, eps: EPS, ...running });
}

const CASES = [
  { sizes: [5, 4, 6, 16], add: true, relu: true },
  { sizes: [3, 7, 5, 21], add: true, relu: false },
  { sizes: [2, 3, 3, 64], add: false, relu: true },
  { sizes: [70, 4, 4, 33], add: false, relu: false },
] as const;

describe.each([
  { dtype: "float32", within: 1e-5 },
  { dtype: "bfloat16", within: 2e-2 },
] as const)("batchNormAct in $dtype", ({ dtype, within }) => {
  const made = ({ sizes: [images, height, width, channels], add, relu }: (typeof CASES)[number]) => {
    manualSeed(5);
    const maps = (scale: number) => fresh(randn([images, height, width, channels]).mul(scale).to(dtype));
    const pixels = [maps(2), maps(1), maps(1), maps(1)].map((t) => t.permute([0, 3, 1, 2])) as Tensor[];
    const [x, added, dy, u] = pixels.map(fresh) as [Tensor, Tensor, Tensor, Tensor];
    const [weight, bias] = [fresh(randn([channels]).add(1)), fresh(randn([channels]))];
    const of: Inputs = { x, weight, bias, add: add ? added : undefined };
    const y = fused(of, relu);
    const kept = relu ? double(y.gt(0)).detach() : null;
    const of64: Inputs = {
      x: fresh(double(x)),
      weight: fresh(double(weight)),
      bias: fresh(double(bias)),
      add: undefined,
    };
    if (add) of64.add = fresh(double(added));
    return { of, of64, y, y64: reference(of64, kept), dy, dy64: fresh(double(dy)), u };
  };
  const given = ({ x, add }: Inputs) => [x, ...(add === undefined ? [] : [add])];

  it.each(CASES)("has float64's values and gradients: $sizes, add $add, relu $relu", (shape) => {
    const { of, of64, y, y64, dy, dy64 } = made(shape);
    expect(apart(y, y64)).toBeLessThan(within);
    const all = (inputs: Inputs) => [...given(inputs), inputs.weight, inputs.bias];
    const found = grad(y, all(of), { gradOutputs: [dy] }) as Tensor[];
    const wanted = grad(y64, all(of64), { gradOutputs: [dy64] }) as Tensor[];
    for (const [i, gradient] of found.entries()) expect(apart(gradient, wanted[i] as Tensor)).toBeLessThan(within);
  });

  /** A weighted sum of the gradients of the input and of the added tensor, which are computed with a graph. */
  const pulled = (y: Tensor, inputs: Inputs, [dy, u]: [Tensor, Tensor]) => {
    const [dx, dadd] = grad(y, given(inputs), { gradOutputs: [dy], createGraph: true }) as [Tensor, Tensor?];
    const sum = dx.mul(u).sum();
    return dadd === undefined ? sum : sum.add(dadd.mul(u.square()).sum());
  };

  it.each(CASES)("has float64's second derivatives: $sizes, add $add, relu $relu", (shape) => {
    const { of, of64, y, y64, dy, dy64, u } = made(shape);
    const found = grad(pulled(y, of, [dy, u]), [of.x, of.weight, dy]) as Tensor[];
    const wanted = grad(pulled(y64, of64, [dy64, double(u)]), [of64.x, of64.weight, dy64]) as Tensor[];
    for (const [i, gradient] of found.entries()) expect(apart(gradient, wanted[i] as Tensor)).toBeLessThan(within);
  });

  it.each(CASES)("has second derivatives of its weights' gradients too: $sizes, add $add, relu $relu", (shape) => {
    const { of, of64, y, y64, dy, dy64 } = made(shape);
    const second = (output: Tensor, { x, weight, bias }: Inputs, gradient: Tensor) => {
      const parts = grad(output, [x, weight, bias], { gradOutputs: [gradient], createGraph: true }) as Tensor[];
      const sum = parts.map((part) => part.to("float64").square().sum()).reduce((total, part) => total.add(part));
      return grad(sum, [x, gradient]) as Tensor[];
    };
    const [found, wanted] = [second(y, of, dy), second(y64, of64, dy64)];
    // This derivative is composed of operators, each of which rounds.
    for (const [i, gradient] of found.entries()) expect(apart(gradient, wanted[i] as Tensor)).toBeLessThan(2 * within);
  });
});

describe("batchNormAct", () => {
  it("gives zeros where a channel is constant and eps is zero", () => {
    const of = { weight: ones([32]), bias: zeros([32]), runningMean: zeros([32]), runningVar: ones([32]) };
    const y = batchNormAct(ones([2, 32, 3, 3]), { ...of, eps: 0, momentum: 0.1, relu: false });
    expect(y.abs().max().item()).toBe(0);
  });

  it.each([false, true])("has third derivatives, also with the weights' gradients in the graph: %s", (weights) => {
    manualSeed(6);
    const x = fresh(randn([4, 3, 3, 16]).permute([0, 3, 1, 2]));
    const weight = fresh(randn([16]).add(1));
    const of: Inputs = { x, weight, bias: zeros([16]), add: undefined };
    const y = fused(of, true);
    const of64: Inputs = { x: fresh(double(x)), weight: fresh(double(weight)), bias: double(of.bias), add: undefined };
    const y64 = reference(of64, double(y.gt(0)).detach());
    const third = (output: Tensor, inputs: Inputs) => {
      const first = weights ? [inputs.x, inputs.weight] : [inputs.x];
      const [slope] = grad(output.square().sum(), first, { createGraph: true }) as [Tensor];
      const [bend] = grad(slope.square().sum(), [inputs.x], { createGraph: true }) as [Tensor];
      return grad(bend.square().sum(), [inputs.x, inputs.weight]) as Tensor[];
    };
    const [found, wanted] = [third(y, of), third(y64, of64)];
    for (const [i, gradient] of found.entries()) expect(apart(gradient, wanted[i] as Tensor)).toBeLessThan(2e-5);
  });
});
