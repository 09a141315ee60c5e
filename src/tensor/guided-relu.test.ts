import { describe, expect, it } from "vitest";
import { grad, relu, type Tensor, tensor, tidy } from "./index.ts";
import { withGuidedRelu } from "./tensor.ts";

describe("withGuidedRelu", () => {
  const input = () => tensor([-2, -1, 0, 1, 2, 3], { requiresGrad: true });
  const above = () => tensor([1, -1, 1, -1, 2, 0]);
  const gradientOf = (x: Tensor, y: Tensor) => numbers(grad(y, x, { gradOutputs: above() })[0] as Tensor);
  const numbers = (t: Tensor) => Array.from(t.data() as Float32Array, (value) => value + 0); // -0 is 0

  it("keeps values, and lets a gradient pass only where it and the input are positive", () =>
    tidy(() => {
      const x = input();
      const { result, rectifiers } = withGuidedRelu(() => relu(x));
      expect(numbers(result)).toEqual([0, 0, 0, 1, 2, 3]);
      expect(gradientOf(x, result)).toEqual([0, 0, 0, 0, 2, 0]);
      expect(rectifiers).toBe(1);
    }));

  it("ends with the function, also where it throws, and nests", () =>
    tidy(() => {
      const x = input();
      const { result, rectifiers } = withGuidedRelu(() => {
        expect(withGuidedRelu(() => x.relu()).rectifiers).toBe(1);
        return x.relu().relu();
      });
      expect([rectifiers, result.shape]).toEqual([2, [6]]);
      expect(() =>
        withGuidedRelu(() => {
          throw new Error("no");
        }),
      ).toThrow("no");
      expect(gradientOf(x, x.relu())).toEqual([0, 0, 0, -1, 2, 0]);
    }));

  it("has a gradient of its gradient", () =>
    tidy(() => {
      const x = tensor([2, -1], { requiresGrad: true });
      const { result } = withGuidedRelu(() => x.relu());
      const [first] = grad(result.square().sum(), x, { createGraph: true }) as [Tensor];
      expect(numbers(grad(first.sum(), x)[0] as Tensor)).toEqual([2, 0]);
    }));
});
