import { describe, expect, it } from "vitest";
import { backward, manualSeed, memory, ones, randn, type Tensor, tidy } from "../../tensor/index.ts";
import { Dropout } from "../index.ts";

const numbers = (t: Tensor) => Array.from(t.data() as Float32Array);

describe("Dropout", () => {
  it("drops each number by itself at its rate, and scales the others so that the mean stays", () =>
    tidy(() => {
      manualSeed(0);
      const y = new Dropout(0.2).run(ones([200, 100]));
      expect(new Set(numbers(y))).toEqual(new Set([0, 1.25]));
      expect(Math.abs(y.mean().item() - 1)).toBeLessThan(4 * Math.sqrt(0.25 / 20_000)); // four standard errors
      const rows = numbers(y.mean([1]));
      expect(Math.max(...rows)).toBeLessThan(1.25);
      expect(Math.min(...rows)).toBeGreaterThan(0);
    }));

  it("hands the gradient to what stays, by the same factor", () =>
    tidy(() => {
      manualSeed(1);
      const x = randn([16, 6]).requiresGrad_();
      const y = new Dropout().run(x);
      backward(y.sum());
      expect(new Set(numbers(x.grad as Tensor))).toEqual(new Set([0, 2]));
      expect(y).toBeAllclose(x.mul(x.grad as Tensor), { rtol: 0, atol: 0 });
    }));

  it("is the identity in evaluation and at rate 0, has no state, and keeps no tensor", () => {
    const before = memory().liveTensors;
    tidy(() => {
      const x = randn([4, 2]);
      expect(new Dropout(0.9).eval().run(x)).toBe(x);
      expect(new Dropout(0).run(x)).toBe(x);
      new Dropout(0.5).run(x);
      expect(new Dropout(0.5).run(ones([0, 3])).shape).toEqual([0, 3]);
    });
    expect(new Dropout().stateDict().size).toBe(0);
    expect(memory().liveTensors).toBe(before);
  });

  it.each([-0.1, 1, Number.NaN, "0.5"])("refuses the rate %j", (p) => {
    expect(() => new Dropout(p as number)).toThrow(
      expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringMatching(/p must be in \[0, 1\), got/) }),
    );
  });
});
