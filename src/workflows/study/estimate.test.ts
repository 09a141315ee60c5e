import { describe, expect, it } from "vitest";
import { doneRun, failedRun, gridRuns } from "../../../test/support/grid-runs.ts";
import { TimeLeft } from "./estimate.ts";
import type { GridRun, GridRunRecord } from "./records.ts";

const steps = (run: GridRun) => ({ step: 0, steps: run.config.epochs * 10, trainImages: 1280 });

/** A grid with a clock that the test sets, in seconds. */
function timed(runs: GridRun[], { jobs = 1, records = [] as GridRunRecord[] } = {}) {
  let now = 0;
  const left = new TimeLeft(jobs, () => 1000 * now);
  left.onEvent({ type: "begin", runs, records });
  return {
    left,
    at: (seconds: number) => {
      now = seconds;
    },
    start: (run: GridRun) => left.onEvent({ type: "start", run }),
    progress: (run: GridRun, step: number) =>
      left.onEvent({ type: "progress", run, progress: { ...steps(run), step } }),
    end: (run: GridRun, seconds: number) =>
      left.onEvent({ type: "end", run, record: doneRun(run, { steps: steps(run).steps }), seconds }),
  };
}

const same = gridRuns({ base: { epochs: 2 }, seeds: 2 }) as [GridRun, GridRun, GridRun, GridRun];

describe("the remaining time", () => {
  it("is not known before a run makes progress, and then follows from the running run", () => {
    const grid = timed(same);
    expect(grid.left.seconds()).toBeNull();
    grid.start(same[0]);
    grid.progress(same[0], 0);
    expect(grid.left.seconds()).toBeNull();
    grid.at(10);
    grid.progress(same[0], 10); // 10 of 20 steps took 10 s: 10 s are left of this run, and 20 s of each other run
    expect(grid.left.seconds()).toBeCloseTo(70, 9);
  });

  it("is the mean time of the finished runs for each remaining run, less the time that running runs have taken", () => {
    const grid = timed(same);
    grid.start(same[0]);
    grid.progress(same[0], 20);
    grid.at(30);
    grid.end(same[0], 30);
    expect(grid.left.seconds()).toBeCloseTo(90, 9);
    grid.start(same[1]);
    grid.at(40);
    expect(grid.left.seconds()).toBeCloseTo(80, 9);
  });

  it("is divided by the number of jobs, but not shorter than the longest run", () => {
    const grid = timed(same, { jobs: 2, records: [doneRun(same[0], { steps: 20, seconds: 30 })] });
    expect(grid.left.seconds()).toBeCloseTo(45, 9);
    const wide = timed(same, { jobs: 9, records: [doneRun(same[0], { steps: 20, seconds: 30 })] });
    expect(wide.left.seconds()).toBeCloseTo(30, 9);
  });

  it("uses the step time of the same model and data set, or of the model, or of all, times the number of steps", () => {
    const runs = gridRuns({
      models: ["simple-cnn", "resnet18"],
      datasets: [
        { name: "small", dataset: "mnist", limitTrain: 1280 },
        { name: "large", dataset: "mnist", limitTrain: 12800 },
      ],
      ...{ base: { epochs: 1 }, objectives: "plain", seeds: 1 },
    });
    const [cnnSmall, resnetSmall, cnnLarge, resnetLarge] = runs as [GridRun, GridRun, GridRun, GridRun];
    const done = (run: GridRun, seconds: number) => doneRun(run, { steps: run === cnnLarge ? 100 : 10, seconds });
    const leftAfter = (...records: GridRunRecord[]) => timed(runs, { records }).left.seconds();
    expect(leftAfter(done(cnnSmall, 1))).toBeCloseTo(1 + 10 + 10, 9);
    expect(leftAfter(done(cnnSmall, 1), done(resnetSmall, 20))).toBeCloseTo(10 + 200, 9);
    expect(leftAfter(done(cnnSmall, 1), done(cnnLarge, 50), done(resnetSmall, 20))).toBeCloseTo(200, 9);
    expect(leftAfter(done(cnnSmall, 1), done(cnnLarge, 50), done(resnetSmall, 20), done(resnetLarge, 1))).toBe(0);
  });

  it("learns the size of a data set from its first run, and respects maxSteps", () => {
    const runs = gridRuns({ base: { epochs: 4, maxSteps: 15 }, objectives: "plain", seeds: 2 }) as [GridRun, GridRun];
    const grid = timed(runs);
    grid.start(runs[0]);
    grid.left.onEvent({ type: "progress", run: runs[0], progress: { step: 5, steps: 15, trainImages: 1280 } });
    grid.at(5);
    grid.progress(runs[0], 10);
    grid.end(runs[0], 8);
    expect(grid.left.seconds()).toBeCloseTo(3, 9); // 15 steps, at 8 s for 40
  });

  it("counts only the steps of a resumed run since it was resumed", () => {
    const grid = timed(same);
    grid.start(same[0]);
    grid.progress(same[0], 16);
    grid.at(2);
    grid.progress(same[0], 18); // 1 s a step: 20 s a run
    expect(grid.left.seconds()).toBeCloseTo(18 + 3 * 20, 9);
  });

  it("ignores runs that failed or were stopped", () => {
    const grid = timed(same, { records: [doneRun(same[0], { steps: 20, seconds: 30 })] });
    grid.left.onEvent({ type: "end", run: same[1], record: failedRun(same[1]), seconds: 1 });
    grid.left.onEvent({ type: "stopped", run: same[2] });
    expect(grid.left.seconds()).toBeCloseTo(30, 9);
  });
});
