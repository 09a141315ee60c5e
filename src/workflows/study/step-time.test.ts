import { describe, expect, it } from "vitest";
import type { LogRow } from "../../train/run/metrics-log.ts";
import { medianStepSeconds } from "./step-time.ts";

const config = { batchSize: 10, gradAccumSteps: 2 };
const log = (...seconds: number[]) =>
  seconds.map((each, step) => ({ kind: "step", epoch: 1, step, imagesPerSecond: 20 / each }) as LogRow);

describe("medianStepSeconds", () => {
  it("is the median of the steps after the first five", () => {
    expect(medianStepSeconds(log(9, 9, 9, 9, 9, 1, 8, 3), config)).toBeCloseTo(3, 12);
    expect(medianStepSeconds(log(9, 9, 9, 9, 9, 1, 8, 3, 2), config)).toBeCloseTo(2.5, 12);
  });

  it("is that of all steps if there are at most five", () => {
    expect(medianStepSeconds(log(1, 2, 9), config)).toBeCloseTo(2, 12);
  });

  it("is the mean of the medians of guided and of other steps, by their numbers", () => {
    const rows = log(9, 9, 9, 9, 9, 1, 1, 5, 1, 2, 6).map((row, i) => ({
      ...row,
      prototypeLoss: [7, 10].includes(i) ? 0.5 : null,
    }));
    expect(medianStepSeconds(rows as LogRow[], config)).toBeCloseTo((4 * 1 + 2 * 5.5) / 6, 12);
  });

  it("ignores other rows of the log, and is NaN without a step", () => {
    const epoch = { kind: "epoch", epoch: 1, step: 3 } as LogRow;
    expect(medianStepSeconds([epoch, ...log(1, 2, 9)], config)).toBeCloseTo(2, 12);
    expect(medianStepSeconds([epoch], config)).toBeNaN();
  });
});
