import { describe, expect, it } from "vitest";
import { unfinishedWarmUp } from "./warm-up.ts";

describe("a warm-up", () => {
  it.each([
    [{ lambdaWarmup: 400, lambdaPrototype: 0.5 }, 0.25],
    [{ lambdaWarmup: 400, lambdaPrototype: 0, lambdaBatch: 1 }, 0.25],
    [{ lambdaWarmup: 400, baseline: "rrr", lambdaBaseline: 10 }, 0.25],
  ])("of %o is longer than a run of 100 steps", (config, share) => {
    expect(unfinishedWarmUp(config, 100)).toEqual({ warmUp: 400, share });
  });

  it.each([
    [{ lambdaWarmup: 100, lambdaPrototype: 0.5 }],
    [{ lambdaWarmup: 0, lambdaPrototype: 0.5 }],
    [{ lambdaPrototype: 0.5 }],
    [{ lambdaWarmup: 400, lambdaPrototype: 0, lambdaBatch: 0, lambdaBaseline: 1 }],
    [{}],
  ])("of %o is nothing to tell of a run of 100 steps", (config) => {
    expect(unfinishedWarmUp(config, 100)).toBeNull();
  });
});
