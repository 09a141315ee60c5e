import { describe, expect, it } from "vitest";
import { backward, manualSeed, memory, ones, randn, type Tensor, tidy } from "../../tensor/index.ts";
import { DropPath } from "../index.ts";

const numbers = (t: Tensor) => Array.from(t.data() as Float32Array);

describe("DropPath", () => {
  it("drops whole samples at its rate, and scales the others so that the mean stays", () =>
    tidy(() => {
      manualSeed(0);
      const y = new DropPath(0.2).run(ones([20_000, 2, 3]));
      const [first = 0, ...rest] = y.flatten(1).unbind(1).map(numbers);
      for (const column of rest) expect(column).toEqual(first);
      expect(new Set(numbers(y))).toEqual(new Set([0, Math.fround(1 / Math.fround(0.8))]));
      expect(Math.abs(y.mean().item() - 1)).toBeLessThan(4 * Math.sqrt(0.25 / 20_000)); // four standard errors
    }));

  it("hands the gradient to the samples that stay, by the same factor", () =>
    tidy(() => {
      manualSeed(1);
      const x = randn([16, 2, 2, 3]).requiresGrad_();
      const y = new DropPath(0.5).run(x);
      backward(y.sum());
      const factors = (x.grad as Tensor).select(3, 0).select(2, 0).select(1, 0);
      expect(new Set(numbers(factors))).toEqual(new Set([0, 2]));
      expect(y).toBeAllclose(x.mul(x.grad as Tensor), { rtol: 0, atol: 0 });
    }));

  it("is the identity in evaluation and at rate 0", () =>
    tidy(() => {
      const x = randn([4, 2]);
      expect(new DropPath(0.9).eval().run(x)).toBe(x);
      expect(new DropPath(0).run(x)).toBe(x);
    }));

  it("draws the same samples for a seed, in the dtype of its input, and takes an empty batch", () =>
    tidy(() => {
      const layer = new DropPath(0.5);
      const draw = () => {
        manualSeed(3);
        return layer.run(ones([32, 1], { dtype: "float64" }));
      };
      expect(draw()).toBeAllclose(draw(), { rtol: 0, atol: 0 });
      expect(draw().dtype).toBe("float64");
      expect(layer.run(ones([0, 3])).shape).toEqual([0, 3]);
    }));

  it("has no state, and keeps no tensor", () => {
    const before = memory().liveTensors;
    const layer = new DropPath(0.5);
    tidy(() => {
      layer.run(ones([8, 2]));
    });
    expect(layer.stateDict().size).toBe(0);
    expect(memory().liveTensors).toBe(before);
  });

  it.each([-0.1, 1, Number.NaN, "0.5"])("refuses the rate %j", (rate) => {
    expect(() => new DropPath(rate as number)).toThrow(
      expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringMatching(/rate must be in \[0, 1\), got/) }),
    );
  });
});
