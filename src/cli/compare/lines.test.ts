import { describe, expect, it } from "vitest";
import { doneRun, failedRun, gridRuns } from "../../../test/support/grid-runs.ts";
import type { GridRun } from "../../workflows/study/records.ts";
import { summariseSpurious } from "../../workflows/study/spurious-summary.ts";
import { summarise } from "../../workflows/study/summary.ts";
import { countLine, failureLines, listTable, runLine, spuriousTable, summaryTable, waitingLine } from "./lines.ts";

const runs = gridRuns({ objectives: "plain,prototype", seeds: 2 }) as [GridRun, GridRun, GridRun, GridRun];
const count = { total: 4, done: 2, failed: 1, left: null };

describe("the lines of a grid", () => {
  it("name a finished run, its position and its numbers", () => {
    const record = doneRun(runs[1], { test: { accuracy: 0.98765, deadMaps: 0.012 }, secondsPerStep: 0.0123 });
    expect(runLine(record, count, 65)).toBe(
      "[3/4] simple-cnn  mnist  prototype ssim  seed 0  accuracy 98.77%  map SSIM 0.500  dead 1.2%  12.3 ms/step  1 min 5 s",
    );
    expect(runLine(record, count, null)).toMatch(/12\.3 ms\/step {2}by another process$/);
    expect(runLine(doneRun(runs[1], { secondsPerStep: 1.5 }), count, 1)).toContain("  1500 ms/step  ");
  });

  it("report a failed run immediately, and the reason in a separate line", () => {
    expect(runLine(failedRun(runs[0], "loss is NaN"), count, 3)).toBe(
      "[3/4] simple-cnn  mnist  plain  seed 0  failed (E_NUMERIC)",
    );
    expect(failureLines([doneRun(runs[1]), failedRun(runs[0], "loss is NaN")])).toEqual([
      "simple-cnn  mnist  plain  seed 0: loss is NaN (E_NUMERIC)",
    ]);
  });

  it("put the last output of a crashed process on one line", () => {
    const [line = ""] = failureLines([failedRun(runs[0], `died:\n  at a\n${"x".repeat(999)}`)]);
    expect(line).toMatch(/ seed 0: died: at a x+ \.\.\. \(E_NUMERIC\)$/);
    expect(line.length).toBeLessThan(400);
  });

  it("count the finished, failed and remaining runs", () => {
    expect(countLine({ ...count, left: 130 })).toBe("2 of 4 done, 1 failed, about 2 min left");
    expect(countLine({ total: 4, done: 0, failed: 0, left: null })).toBe("0 of 4 done");
  });

  it.each([
    [0, "5 s"],
    [12, "10 s"],
    [54, "55 s"],
    [55, "1 min"],
    [89, "1 min"],
    [91, "2 min"],
    [3569, "59 min"],
    [3600, "1 h"],
    [5000, "1 h 20 min"],
    [35_000, "9 h 40 min"],
  ])("round %d s to %s", (seconds, text) => {
    expect(countLine({ ...count, left: seconds })).toBe(`2 of 4 done, 1 failed, about ${text} left`);
  });

  it("name the process whose runs are waited for", () => {
    const holder = "process 7 on here";
    expect(waitingLine({ runs: runs.slice(0, 1), holder })).toMatch(
      /^1 run is being trained by process 7 on here: waiting/,
    );
    expect(waitingLine({ runs, holder })).toMatch(/^4 runs are being trained by process 7 on here and others: waiting/);
  });
});

describe("the table of a grid", () => {
  it("has a row for each method, with means over seeds", () => {
    const records = [
      doneRun(runs[0], { test: { accuracy: 0.9 } }),
      doneRun(runs[1], { test: { accuracy: 0.8 } }),
      doneRun(runs[2], { test: { accuracy: 0.94, coherence: null } }),
      failedRun(runs[3]),
    ];
    const [headers, , plain, guided, ...rest] = summaryTable(summarise(records)).split("\n");
    expect(headers).toMatch(/^model +data set +method +seeds +accuracy +map SSIM +coherence +dead maps +ms\/step$/);
    expect(plain).toMatch(
      /^simple-cnn +mnist +plain +2 +92\.00 ± 2\.83% +0\.500 ± 0\.000 +0\.800 +0\.0 ± 0\.0% +100 ± 0\.00$/,
    );
    expect(guided).toMatch(/^simple-cnn +mnist +prototype ssim +1 of 2 +80\.00% +0\.500 +0\.800 +0\.0% +100$/);
    expect(rest).toEqual([""]);
  });

  it("has dashes if no run of a row is finished", () => {
    expect(summaryTable(summarise([failedRun(runs[0])]))).toMatch(/plain +0 of 1 +- +- +- +- +-\n$/);
  });

  it("lists the runs and the state of each", () => {
    const text = listTable(runs.map((run, i) => ({ run, state: i === 0 ? "done" : "to do" })));
    expect(text).toContain(`${runs[0].id}  simple-cnn  mnist     plain           plain   0     done\n`);
    expect(text).toMatch(/\n\n4 runs: 1 done, 3 to do\n$/);
  });

  it("show how much methods rely on a cue, with their kind and the fraction of the gap that they close", () => {
    const leaning = (random: number) => ({
      ...{ images: 10, energyInPatch: 0.02, wrongReason: { score: 0.3, dropped: 1 } },
      accuracy: { aligned: 1, random, clean: 0.5, adversarial: 0.25 },
      worstClass: { aligned: 1, random: random / 2, clean: 0, adversarial: 0 },
    });
    const grid = gridRuns({
      ...{ datasets: "decoy-mnist", seeds: 1 },
      methods: [
        { name: "plain", plain: true },
        { name: "guided", lambdaPrototype: 5 },
        { name: "RRR", baseline: "rrr" },
      ],
    });
    const records = grid.map((run, i) => doneRun(run, { spurious: leaning([0.6, 0.9, 1][i] as number) }));
    const text = spuriousTable(summariseSpurious(records));
    expect(text).toMatch(/^decoy-mnist +guided +guided +90\.0 +45\.0 +50\.0 +25\.0 +100\.0 +2\.0 +30\.0 +75%$/m);
    expect(text).toMatch(/^decoy-mnist +RRR +reference .* 100%$/m);
    expect(text).toContain("Compare a method with the controls.");
  });
});
