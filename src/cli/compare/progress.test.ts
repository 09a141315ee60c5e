import { describe, expect, it } from "vitest";
import { fakeIo } from "../../../test/support/fake-terminal.ts";
import { doneRun, failedRun, gridRuns } from "../../../test/support/grid-runs.ts";
import type { GridRun } from "../../workflows/study/records.ts";
import type { GridEvent } from "../../workflows/study/run-grid.ts";
import { CompareProgress } from "./progress.ts";

const runs = gridRuns({ objectives: "plain,prototype", seeds: 2 }) as [GridRun, GridRun, GridRun, GridRun];
const progressOf = (run: GridRun, step: number): GridEvent => ({
  type: "progress",
  run,
  progress: { step, steps: 21, trainImages: 896 },
});

function shown({ isTTY = false, columns = 80, env = {} as Record<string, string> } = {}) {
  const { io, text } = fakeIo();
  let now = 0;
  const progress = new CompareProgress({
    ...{ stdout: { ...io.stdout, isTTY, columns }, env, jobs: 1, threads: 2 },
    now: () => now,
  });
  return {
    progress,
    text,
    hears(milliseconds: number, event: GridEvent) {
      now += milliseconds;
      text.out = "";
      progress.onEvent(event);
      return text.out;
    },
  };
}

const begin: GridEvent = { type: "begin", runs, records: [doneRun(runs[0], { steps: 21, seconds: 40 })] };

describe("the progress of a grid", () => {
  it("is plain lines if the output is not a terminal: one per run, and a count once a minute", () => {
    const { hears } = shown();
    expect(hears(0, begin)).toBe("4 runs, 1 at a time, 2 threads each; 1 of 4 done before\n");
    expect(hears(0, { type: "start", run: runs[1] })).toBe("");
    expect(hears(30_000, progressOf(runs[1], 5))).toBe("");
    expect(hears(30_000, progressOf(runs[1], 10))).toMatch(/^1 of 4 done, about \d+ (s|min) left\n$/);
    expect(hears(1000, { type: "end", run: runs[1], record: failedRun(runs[1]), seconds: 61 })).toMatch(
      /^\[2\/4\] .* failed \(E_NUMERIC\)\n$/,
    );
    expect(hears(60_000, { type: "stopped", run: runs[2] })).toBe(
      "stopped by a signal: simple-cnn  mnist  plain  seed 1\n1 of 4 done, 1 failed, about 40 s left\n",
    );
  });

  it("is a live line on a terminal, which is removed before other lines are written", () => {
    const { hears, progress, text } = shown({ isTTY: true });
    const record = doneRun(runs[1], { steps: 21 });
    expect(hears(0, begin)).toBe(
      "4 runs, 1 at a time, 2 threads each; 1 of 4 done before\n1 of 4 done, about 2 min left",
    );
    expect(hears(100, { type: "start", run: runs[1] })).toBe("");
    expect(hears(200, progressOf(runs[1], 5))).toBe("\r\u001b[2K1 of 4 done, about 2 min left");
    const [line, live] = hears(10, { type: "end", run: runs[1], record, seconds: 40 }).split("\n");
    expect(line?.startsWith("\r\u001b[2K[2/4] simple-cnn ")).toBe(true);
    expect(live).toBe("2 of 4 done, about 1 min left");
    text.out = "";
    progress.stop();
    progress.stop();
    expect(text.out).toBe("\r\u001b[2K");
  });

  it("fits a narrow terminal, and draws nothing on a dumb one", () => {
    expect(shown({ isTTY: true, columns: 12 }).hears(0, begin)).toMatch(/\n1 of 4 done$/);
    expect(shown({ isTTY: true, env: { TERM: "dumb" } }).hears(0, begin)).toMatch(/before\n$/);
  });

  it("draws no count when all runs are finished", () => {
    const { hears } = shown({ isTTY: true });
    hears(0, { type: "begin", runs: runs.slice(0, 2), records: [doneRun(runs[0])] });
    expect(hears(1000, { type: "end", run: runs[1], record: doneRun(runs[1]), seconds: 1 })).toMatch(/ {2}1 s\n$/);
  });
});
