import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fixture } from "../../test/support/fixtures.ts";
import {
  constant,
  cosine,
  linearWarmup,
  oneCycle,
  oneCycleMomentum,
  type Schedule,
  sequential,
  timmCosine,
} from "./index.ts";

describe("schedules", () => {
  const reference = fixture("schedules");
  const table = (schedule: Schedule) => Array.from({ length: 40 }, (_, step) => schedule(step));
  const timm = { lr: 0.3, minLr: 1e-5, warmupSteps: 5, warmupLr: 1e-4 };

  it.each<[string, Schedule]>([
    ["timm_cosine", timmCosine({ ...timm, steps: 40 })],
    ["timm_cosine_prefix", timmCosine({ ...timm, steps: 35, warmupPrefix: true })],
    ["timm_cosine_short", timmCosine({ ...timm, steps: 20 })],
    ["torch_onecycle", oneCycle({ maxLr: 0.3, steps: 40 })],
    ["torch_onecycle_momentum", oneCycleMomentum({ steps: 40 })],
    ["torch_cosine", cosine({ lr: 0.3, steps: 40, minLr: 1e-5 })],
  ])("%s is the library's table", (name, schedule) => {
    expect(table(schedule)).toBeAllclose(reference.tensor(`out64/${name}`), reference.tolerance);
  });

  it("anneals one cycle in straight lines too", () => {
    const shape = { steps: 8, pctStart: 0.4, anneal: "linear" } as const;
    // torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=8, pct_start=.4, anneal_strategy="linear")
    const rates = [
      0.04, 0.4763636363636363, 0.9127272727272727, 0.833334, 0.6250015, 0.41666899999999996, 0.20833650000000004,
      4.000000000004e-6,
    ];
    const momenta = [
      0.95, 0.9045454545454545, 0.8590909090909091, 0.8666666666666666, 0.8875, 0.9083333333333333, 0.9291666666666666,
      0.95,
    ];
    const steps = [...Array(8).keys()];
    expect(steps.map(oneCycle({ maxLr: 1, ...shape }))).toBeAllclose(rates, { rtol: 1e-12 });
    expect(steps.map(oneCycleMomentum(shape))).toBeAllclose(momenta, { rtol: 1e-12 });
  });

  it("stays finite and within its bounds at every step, however short the cycle", () => {
    const steps = fc.integer({ min: 1, max: 50 });
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(steps, share, fc.nat(100), (length, pctStart, step) => {
        const rate = oneCycle({ maxLr: 1, steps: length, pctStart })(step);
        expect(rate).toBeGreaterThan(0);
        expect(rate).toBeLessThanOrEqual(1 + 1e-12);
      }),
    );
  });

  it("keeps the last value after its end", () => {
    expect(oneCycle({ maxLr: 1, steps: 10 })(99)).toBe(oneCycle({ maxLr: 1, steps: 10 })(9));
    expect(timmCosine({ lr: 1, steps: 10, minLr: 0.1 })(99)).toBe(0.1);
    expect(linearWarmup({ lr: 1, steps: 10 })(99)).toBe(1);
  });

  it.each<[string, () => Schedule, RegExp]>([
    ["cosine", () => cosine({ lr: 0.1, steps: 0 }), /cosine: steps must be an integer >= 1, got 0/],
    ["constant", () => constant(Number.NaN), /constant: value must be a number >= 0, got NaN/],
    [
      "timmCosine",
      () => timmCosine({ lr: 0.1, steps: 5, warmupSteps: -1 }),
      /warmupSteps must be an integer >= 0, got -1/,
    ],
    ["oneCycle", () => oneCycle({ maxLr: 0.1, steps: 5, pctStart: 1.5 }), /pctStart must be in \[0, 1\], got 1.5/],
    ["linearWarmup", () => linearWarmup({ lr: -1, steps: 5 }), /lr must be a number >= 0, got -1/],
    ["sequential", () => sequential(constant(1), 0.5, constant(1)), /milestone must be an integer >= 1, got 0.5/],
  ])("refuses bad settings: %s", (_, build, message) => {
    expect(build).toThrow(expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringMatching(message) }));
  });
});
