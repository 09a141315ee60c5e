import { afterEach, describe, expect, it } from "vitest";
import { autocast, grad, manualSeed, randn, type Tensor, tidy } from "../../tensor/index.ts";
import { Flatten, Linear, setFusedTraining } from "../index.ts";
import { recordOutputs } from "../recorder.ts";
import { flatLinear, pooledWeightOf } from "./flat-linear.ts";

afterEach(() => {
  setFusedTraining(true);
});

const length = (t: Tensor): number => t.to("float64").square().sum().sqrt().item();
const apart = (a: Tensor, b: Tensor): number =>
  length(a.to("float64").sub(b.to("float64"))) / Math.max(length(b), 1e-12);
const CASES = [
  { images: 4, channels: 32, height: 7, width: 7, features: 16 },
  { images: 1, channels: 3, height: 2, width: 5, features: 7 },
  { images: 3, channels: 17, height: 1, width: 1, features: 1 },
];

function layers({ images, channels, height, width, features }: (typeof CASES)[number]) {
  manualSeed(6);
  const linear = new Linear(channels * height * width, features);
  const maps = randn([images, height, width, channels]).permute([0, 3, 1, 2]).detach().requiresGrad_();
  return { flatten: new Flatten(), linear, maps };
}

/** Computes a loss of both the output and the means of the weight, as a guided step does. */
function measured({ flatten, linear, maps }: ReturnType<typeof layers>, fused: boolean, amp: boolean) {
  setFusedTraining(fused);
  const run = () => recordOutputs(new Set<object>([linear]), () => flatLinear(flatten, linear, maps)).result;
  const output = amp ? autocast({ dtype: "bfloat16" }, run) : run();
  const [, channels = 0, height = 0, width = 0] = maps.sizes;
  expect(pooledWeightOf(output) === undefined).toBe(!fused);
  const pooled = pooledWeightOf(output) ?? linear.weight.view([-1, channels, height * width]).mean(2);
  manualSeed(7);
  const [dy, dp] = [randn(output.sizes), randn(pooled.sizes)];
  const loss = output.to("float32").mul(dy).sum().add(pooled.mul(dp).sum());
  const wanted = [maps, ...linear.parameters()];
  const first = grad(loss.add(output.to("float32").square().sum()), wanted, { createGraph: true }) as Tensor[];
  const alone = grad(loss, wanted, { retainGraph: true }) as Tensor[];
  const withoutMeans = grad(output.to("float32").mul(dy).sum(), wanted, { retainGraph: true }) as Tensor[];
  const slope = first.map((t) => t.to("float32").square().sum()).reduce((sum, t) => sum.add(t));
  return { output: [output], pooled: [pooled], first, alone, withoutMeans, second: grad(slope, wanted) as Tensor[] };
}

describe.each([
  { amp: false, within: 5e-6 },
  { amp: true, within: 2e-2 },
])("flatLinear (bfloat16: $amp)", ({ amp, within }) => {
  it.each(CASES)(
    "is the linear layer of the flattened maps, with both derivatives: $channels maps of $heightx$width",
    (of) => {
      const given = layers(of);
      const [fused, plain] = [true, false].map((on) => measured(given, on, amp)) as [
        ReturnType<typeof measured>,
        ReturnType<typeof measured>,
      ];
      expect(fused.output[0]?.dtype).toBe(plain.output[0]?.dtype);
      for (const part of Object.keys(plain) as (keyof typeof plain)[])
        for (const [i, expected] of plain[part].entries())
          expect(apart(fused[part][i] as Tensor, expected), `${part} ${i}`).toBeLessThan(within);
    },
  );
});

describe("flatLinear", () => {
  it("runs its layers one by one where somebody looks at the flattened maps, or they flatten otherwise", () => {
    const { flatten, linear, maps } = layers(CASES[0] as (typeof CASES)[number]);
    const { outputs } = recordOutputs(new Set<object>([flatten, linear]), () => flatLinear(flatten, linear, maps));
    expect(outputs.get(flatten)?.sizes).toEqual([4, 32 * 49]);
    expect(pooledWeightOf(outputs.get(linear) as Tensor)).toBeUndefined();
    expect(() => flatLinear(new Flatten(2), linear, maps)).toThrow(/Linear/);
    expect(() => flatLinear(flatten, new Linear(5, 2), maps)).toThrow(/Linear/);
  });

  it("keeps no means where nobody looks at the output, and none that are freed", () => {
    const { flatten, linear, maps } = layers(CASES[0] as (typeof CASES)[number]);
    expect(pooledWeightOf(flatLinear(flatten, linear, maps))).toBeUndefined();
    const watched = new Set<object>([linear]);
    const output = tidy(() => recordOutputs(watched, () => flatLinear(flatten, linear, maps)).result);
    expect(pooledWeightOf(output)).toBeUndefined();
  });

  it("keeps the weight's means for the output, as it is kept and as the next layer reads it", () => {
    const { flatten, linear, maps } = layers(CASES[0] as (typeof CASES)[number]);
    const { outputs, result } = recordOutputs(new Set<object>([linear]), () => flatLinear(flatten, linear, maps));
    for (const output of [outputs.get(linear) as Tensor, result])
      expect(pooledWeightOf(output)?.sizes).toEqual([16, 32]);
  });
});
