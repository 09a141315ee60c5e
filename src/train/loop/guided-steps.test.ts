import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { guidedCount, isBalanceStep, isGuidedStep } from "./guided-steps.ts";
import { EpochMeans } from "./step.ts";

const steps = (count: number) => Array.from({ length: count }, (_, step) => step);

describe("the guided steps of a run", () => {
  it("are all of them with 1, and otherwise every Nth, counted from 1", () => {
    expect(steps(4).filter((step) => isGuidedStep(step, 1))).toEqual([0, 1, 2, 3]);
    expect(steps(12).filter((step) => isGuidedStep(step, 4))).toEqual([3, 7, 11]);
  });

  it("are one of any N steps that follow one another, so that N times the weight gives the same mean", () => {
    fc.assert(
      fc.property(fc.nat(10_000), fc.integer({ min: 1, max: 50 }), (first, every) => {
        const following = steps(every).map((step) => first + step);
        expect(following.filter((step) => isGuidedStep(step, every))).toHaveLength(1);
      }),
    );
  });

  it("have the balance of the terms each time that it is due or, if that step is not guided, at the next one that is", () => {
    const due = (every: number) => steps(24).filter((step) => isBalanceStep(step, 5, every));
    expect(due(1).map((step) => step + 1)).toEqual([5, 10, 15, 20]);
    expect(due(4).map((step) => step + 1)).toEqual([8, 12, 16, 20]);
    expect(due(12).map((step) => step + 1)).toEqual([12, 24]);
  });
});

describe("the guided images of a batch", () => {
  const count = (batch: number, guideShare: number, smallestBatch = 1) =>
    guidedCount(batch, { config: { guideShare }, smallestBatch });

  it("are the nearest number to the share, but at least one", () => {
    expect(count(128, 0.25)).toBe(32);
    expect(count(10, 0.25)).toBe(3);
    expect(count(128, 1e-9)).toBe(1);
    expect(count(1, 0.5)).toBe(1);
  });

  it("leave a part that the network can take, or none", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 300 }),
        fc.double({ min: 1e-6, max: 1, noNaN: true }),
        fc.constantFrom(1, 2),
        (batch, share, smallest) => {
          const guided = count(batch, share, smallest);
          expect(guided).toBeGreaterThanOrEqual(smallest);
          expect(batch - guided === 0 || batch - guided >= smallest).toBe(true);
        },
      ),
    );
  });
});

describe("the means of an epoch", () => {
  const metrics = (loss: number, prototypeLoss: number | null) =>
    ({ loss, prototypeLoss, batchCamLoss: null }) as Parameters<EpochMeans["add"]>[0];

  it("are over the images of the steps that have a number, and null if no step has it", () => {
    const means = new EpochMeans();
    for (const [loss, term] of [
      [1, null],
      [2, 0.5],
      [3, null],
      [6, 0.2],
    ] as const)
      means.add(metrics(loss, term), 10);
    means.add(metrics(4, 0.4), 20);
    expect(means.means()).toEqual({ loss: 20 / 6, prototypeLoss: expect.closeTo(1.5 / 4, 12), batchCamLoss: null });
  });

  it("go on from their state, and from that of a version that counted all steps", () => {
    const first = new EpochMeans();
    first.add(metrics(1, null), 10);
    first.add(metrics(3, 0.5), 10);
    const next = EpochMeans.from(JSON.parse(JSON.stringify(first.state())));
    next.add(metrics(5, 0.25), 10);
    expect(next.means()).toEqual({ loss: 3, prototypeLoss: 0.375, batchCamLoss: null });
    const { images, sums } = first.state();
    const earlier = EpochMeans.from({ images, sums: { ...sums, prototypeLoss: 10 } });
    expect(earlier.means().prototypeLoss).toBe(0.5);
  });
});
