import { describe, expect, it } from "vitest";
import { doneRun, failedRun, gridRuns } from "../../../test/support/grid-runs.ts";
import { summarise } from "./summary.ts";

const runs = gridRuns({ objectives: "plain,prototype", seeds: 3 });
const accuracies = [0.5, 0.1, 0.7, 0.2, 0.9, 0.6]; // plain and guided alternate, seed by seed

describe("summarise", () => {
  it("has the mean and the sample standard deviation over the seeds of each model, data set and method", () => {
    const rows = summarise(runs.map((run, i) => doneRun(run, { test: { accuracy: accuracies[i] } })));
    expect(rows.map(({ method, done, failed }) => [method, done, failed])).toEqual([
      ["plain", 3, 0],
      ["prototype ssim", 3, 0],
    ]);
    expect(rows[0]?.accuracy.mean).toBeCloseTo(0.7, 12); // of 0.5, 0.7, 0.9
    expect(rows[0]?.accuracy.deviation).toBeCloseTo(0.2, 12);
    expect(rows[1]?.accuracy.mean).toBeCloseTo(0.3, 12); // of 0.1, 0.2, 0.6
    expect(rows[1]?.accuracy.deviation).toBeCloseTo(Math.sqrt(0.14 / 2), 12);
  });

  it("counts failed runs, and leaves out their numbers", () => {
    const [first, , second] = runs as [(typeof runs)[0], unknown, (typeof runs)[0]];
    const [row] = summarise([failedRun(first), doneRun(second)]);
    expect(row).toMatchObject({ done: 1, failed: 1, accuracy: { mean: 0.9, deviation: Number.NaN } });
    expect(summarise([failedRun(first)])[0]?.accuracy).toEqual({ mean: Number.NaN, deviation: Number.NaN });
  });

  it("leaves out values that JSON stores as null", () => {
    const [first, , second] = runs as [(typeof runs)[0], unknown, (typeof runs)[0]];
    const [row] = summarise([doneRun(first, { test: { coherence: null } }), doneRun(second)]);
    expect(row?.coherence).toEqual({ mean: 0.8, deviation: Number.NaN });
  });

  it("has no rows without records", () => {
    expect(summarise([])).toEqual([]);
  });
});
