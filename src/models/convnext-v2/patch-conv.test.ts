import { afterEach, describe, expect, it } from "vitest";
import { apart, double } from "../../../test/support/apart.ts";
import { setFusedTraining } from "../../nn/index.ts";
import { autocast, grad, manualSeed, randn, type Tensor } from "../../tensor/index.ts";
import { PatchConv } from "./patch-conv.ts";

afterEach(() => {
  setFusedTraining(true);
});

/** The output, its gradients, and the derivatives of the gradient of the images along itself. */
function measured(conv: PatchConv, x: Tensor, { fused, amp }: { fused: boolean; amp: boolean }): Tensor[] {
  setFusedTraining(fused);
  const y = amp ? autocast({ dtype: "bfloat16" }, () => conv.run(x)) : conv.run(x);
  manualSeed(2);
  const leaves = [x, ...conv.parameters()];
  const first = grad(y.to("float32").square().sum(), leaves, { createGraph: true }) as Tensor[];
  return [y, ...first, ...(grad((first[0] as Tensor).square().sum(), leaves) as Tensor[])];
}

describe.each([
  { amp: false, within: 1e-5 },
  { amp: true, within: 2e-2 },
])("PatchConv (bfloat16: $amp)", ({ amp, within }) => {
  it.each([
    { side: 1, sizes: [2, 1, 5, 6] },
    { side: 2, sizes: [3, 5, 7, 9] },
    { side: 4, sizes: [1, 3, 8, 11] },
  ])("is the convolution of $side x $side patches of $sizes, with both derivatives", ({ side, sizes }) => {
    manualSeed(1);
    const conv = new PatchConv(sizes[1] as number, 6, side);
    const x = randn(sizes).requiresGrad_();
    const [found, wanted] = [true, false].map((fused) => measured(conv, x, { fused, amp })) as [Tensor[], Tensor[]];
    for (const [i, t] of wanted.entries()) {
      expect(found[i]?.sizes).toEqual(t.sizes);
      expect(apart(double(found[i] as Tensor), double(t)), `result ${i}`).toBeLessThan(within);
    }
  });
});

describe("PatchConv", () => {
  it("prints as timm's layer, and refuses images of other channels", () => {
    expect(String(new PatchConv(1, 4, 2))).toBe("Conv2d(1, 4, kernel_size=(2, 2), stride=(2, 2))");
    expect(() => new PatchConv(1, 4, 2).run(randn([1, 2, 4, 4]))).toThrow(/Conv2d/);
  });
});
