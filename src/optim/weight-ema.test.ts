import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { full, memory, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { WeightEma } from "./index.ts";

const meanOf = (average: WeightEma, name: string) => (average.state().get(name) as Tensor).mean().item();
const state = (value: number) => new Map([["w", full([2, 3], value, { dtype: "float64" })]]);

describe("WeightEma", () => {
  it("is the weights at first, then decay·ema + (1 − decay)·weight for each step", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { maxLength: 20 }),
        (decay, values) =>
          tidy(() => {
            const average = new WeightEma(state(1), { decay });
            expect(meanOf(average, "w")).toBe(1);
            let expected = 1;
            for (const [step, value] of values.entries()) {
              average.update(state(value), step);
              expected = decay * expected + (1 - decay) * value;
            }
            expect(meanOf(average, "w")).toBeCloseTo(expected, 10);
            average.dispose();
          }),
      ),
      { numRuns: 50 },
    );
  });

  it("warms up as timm's does: the first step is all weight, and the decay rises to its value", () => {
    tidy(() => {
      const average = new WeightEma(state(0), { decay: 0.99, warmup: true });
      expect(average.decayAt(0)).toBe(0);
      expect(average.decayAt(7)).toBeCloseTo(1 - 8 ** (-2 / 3), 12);
      expect(average.decayAt(1e6)).toBe(0.99);
      average.update(state(5), 0);
      expect(meanOf(average, "w")).toBe(5);
      average.dispose();
    });
  });

  it("averages running statistics, and copies what counts", () =>
    tidy(() => {
      const at = (mean: number, batches: number) =>
        new Map([
          ["bn.running_mean", full([4], mean)],
          ["bn.num_batches_tracked", tensor([batches], { dtype: "int64", shape: [] })],
        ]);
      const average = new WeightEma(at(0, 0), { decay: 0.5 });
      average.update(at(1, 7), 0);
      expect(meanOf(average, "bn.running_mean")).toBe(0.5);
      expect((average.state().get("bn.num_batches_tracked") as Tensor).item()).toBe(7);
      average.dispose();
    }));

  it("keeps its own copy, keeps its memory constant and frees it", () => {
    const { liveTensors } = memory();
    tidy(() => {
      const weights = state(1);
      const average = new WeightEma(weights, { decay: 0.5 });
      (weights.get("w") as Tensor).fill_(100);
      expect(meanOf(average, "w")).toBe(1);
      const held = memory().liveTensors;
      for (let step = 0; step < 5; step++) average.update(weights, step);
      expect(memory().liveTensors).toBe(held);
      average.dispose();
    });
    expect(memory().liveTensors).toBe(liveTensors);
  });

  it("continues from a saved state, and refuses one that lacks a name before anything changes", () =>
    tidy(() => {
      const average = new WeightEma(state(1), { decay: 0.5 });
      average.loadState(state(8));
      expect(meanOf(average, "w")).toBe(8);
      const wrong = () => average.loadState(new Map([["v", zeros([2, 3])]]));
      expect(wrong).toThrow(
        expect.objectContaining({ code: "E_CHECKPOINT", message: expect.stringMatching(/lacks w/) }),
      );
      expect(meanOf(average, "w")).toBe(8);
      average.dispose();
    }));

  it.each([1, -0.1, Number.NaN])("refuses a decay of %d", (decay) => {
    expect(() => new WeightEma(new Map(), { decay })).toThrow(/decay must be in \[0, 1\)/);
  });
});
