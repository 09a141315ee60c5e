import { describe, expect, it } from "vitest";
import type { EpochRecord, SplitRecord, TrainResult } from "../../train/run/events.ts";
import type { ReportedRun, RunReportInput } from "./input.ts";
import { accuracyError, compare, type JudgedBy } from "./measures.ts";
import { summarize } from "./summary.ts";

const PLAIN: SplitRecord = {
  split: "test",
  images: 10_000,
  accuracy: 0.9884,
  crossEntropy: 0.04,
  mapL1: 0.155,
  mapL2: 0.061,
  mapSsim: 0.247,
  coherence: 0.761,
  deadMaps: 0.0061,
  energyInForeground: 0.402,
};
const GUIDED: SplitRecord = {
  ...PLAIN,
  accuracy: 0.9873,
  mapL1: 0.074,
  mapL2: 0.02,
  mapSsim: 0.664,
  coherence: 0.912,
  deadMaps: 0,
  energyInForeground: 0.541,
};

function resultOf(test: SplitRecord | null, changes: Partial<TrainResult> = {}): TrainResult {
  const history = [{ secondsPerEpoch: 20 }, { secondsPerEpoch: 22 }] as EpochRecord[];
  const paths = { runDirectory: "runs/demo", checkpoint: "last", best: null };
  return {
    ...paths,
    interrupted: false,
    endedBy: "epochs",
    step: 400,
    history,
    test,
    bestEpoch: 2,
    seconds: 42,
    ...changes,
  };
}

function run(name: ReportedRun["name"], result: TrainResult, seed: unknown = 0): ReportedRun {
  return { name, config: { seed }, result, steps: [], maps: [], dead: [], predictions: [] };
}

function summary(...runs: ReportedRun[]): string {
  return summarize({ runs } as unknown as RunReportInput).replaceAll("\u00a0", " ");
}

const both = (guided: Partial<SplitRecord> = {}, changes: Partial<TrainResult> = {}) => {
  return summary(run("plain", resultOf(PLAIN)), run("guided", resultOf({ ...GUIDED, ...guided }, changes)));
};

describe("summarize", () => {
  it("says where the guidance never reached its full weight, and nothing of it where it had", () => {
    const guided = (lambdaWarmup: number | undefined, lambdaPrototype: number) =>
      summary({ ...run("guided", resultOf(GUIDED)), config: { seed: 0, lambdaWarmup, lambdaPrototype } });
    expect(guided(1_600, 0.5)).toContain(
      "The guidance of the guided run never reached its full weight: the weight rises over 1600 steps, the run took 400, and it ended with 25 % of it.",
    );
    for (const text of [guided(400, 0.5), guided(undefined, 0.5), guided(1_600, 0)])
      expect(text).not.toContain("whole weight");
  });

  it("states the numbers of both runs", () => {
    const text = both();
    expect(text).toContain(
      "On 10,000 test images the plain network is right for 98.84 % and the guided one for 98.73 %",
    );
    expect(text).toContain("(SSIM, 1 means identical) rises from 0.247 to 0.664");
    expect(text).toContain("(L1) falls from 0.155 to 0.074");
    expect(text).toContain("falls from 0.6 % to 0.0 %");
    expect(text).toContain("Each was trained once, from seed 0.");
  });

  it("calls an accuracy lost within the sampling error neither better nor worse", () => {
    expect(both()).toContain(
      "0.11 points less, no more than the sampling error of a split of this size (±0.31 points)",
    );
  });

  it.each([
    [0.97, "1.84 points less, beyond the sampling error"],
    [0.998, "0.96 points more, beyond the sampling error"],
  ])("says of an accuracy of %d that one run cannot rule out luck", (accuracy, words) => {
    const text = both({ accuracy });
    expect(text).toContain(words);
    expect(text).toContain("one run of each cannot distinguish it from chance");
  });

  it("says what fell just as it says what rose", () => {
    const text = both({ mapSsim: 0.1, mapL1: 0.3, coherence: 0.5, deadMaps: 0.1, energyInForeground: 0.402 });
    expect(text).toContain("rises from 0.155 to 0.300");
    expect(text).toContain("falls from 0.247 to 0.100");
    expect(text).toContain("falls from 0.761 to 0.500");
    expect(text).toContain("foreground stays at 40.2 %");
    expect(text).toContain("rises from 0.6 % to 10.0 %");
  });

  it("does not take closeness to the prototype for better reasons", () => {
    expect(both()).toContain("but not that the network’s reasons are better");
  });

  it("says nothing of the seconds, which the machine's other work moves", () => {
    const slow = [{ secondsPerEpoch: 23.1 }] as EpochRecord[];
    expect(both({}, { history: slow })).not.toMatch(/epoch takes|23\.1/);
  });

  it("warns where many maps are dead", () => {
    expect(both({ deadMaps: 0.4 })).toContain("With 40 % of the guided maps dead");
    expect(both()).not.toContain("score");
  });

  it("says that seeds differ, or that none is known", () => {
    const other = run("guided", resultOf(GUIDED), 1);
    expect(summary(run("plain", resultOf(PLAIN)), other)).toContain("from different seeds (0 and 1)");
    const unknown = { ...other, config: {} };
    expect(summary(run("plain", resultOf(PLAIN)), unknown)).toContain("Each was trained once.");
  });

  it("says that there is nothing to compare where a run was stopped", () => {
    const text = summary(
      run("plain", resultOf(PLAIN)),
      run("guided", resultOf(null, { interrupted: true, step: 120 })),
    );
    expect(text).toContain("There are no test results to compare");
    expect(text).toContain("The guided run was stopped at step 120, before its end.");
    expect(text).not.toMatch(/rises|falls/);
  });

  it.each(["plain", "guided"] as const)("describes a %s run alone without comparing", (name) => {
    const text = summary(run(name, resultOf(PLAIN)));
    expect(text).toContain(`there is no ${name === "plain" ? "guided" : "plain"} run to compare it with`);
    expect(text).toContain("right for 98.84 %");
    expect(text).not.toMatch(/rises|falls|more|less/);
  });

  it("never praises and never writes NaN, whatever is missing", () => {
    const nothing = Object.fromEntries(Object.keys(PLAIN).map((key) => [key, Number.NaN])) as unknown as SplitRecord;
    const texts = [both(), both(nothing), both({ ...nothing, images: 10 }), summary(run("plain", resultOf(nothing)))];
    for (const text of texts)
      expect(text).not.toMatch(/NaN|undefined|null|best|great|excellent|impressive|significant/i);
  });
});

describe("compare", () => {
  const verdict = (name: JudgedBy, test: Partial<SplitRecord>) => {
    return compare(name, resultOf(PLAIN), resultOf({ ...PLAIN, ...test })).verdict;
  };

  it("knows which way each measure is better", () => {
    expect(verdict("mapSsim", { mapSsim: 0.9 })).toBe("better");
    expect(verdict("mapSsim", { mapSsim: 0.1 })).toBe("worse");
    expect(verdict("mapL1", { mapL1: 0.1 })).toBe("better");
    expect(verdict("mapL2", { mapL2: 0.1 })).toBe("worse");
    expect(verdict("deadMaps", { deadMaps: 0.1 })).toBe("worse");
    expect(verdict("secondsPerEpoch", {})).toBe("equal");
  });

  it("calls equal what is equal in the digits shown", () => {
    expect(verdict("mapSsim", { mapSsim: PLAIN.mapSsim + 1e-5 })).toBe("equal");
  });

  it("gives no verdict without numbers", () => {
    expect(verdict("coherence", { coherence: Number.NaN })).toBe("unknown");
    expect(compare("accuracy", resultOf(null), resultOf(PLAIN))).toEqual({ text: "", verdict: "unknown" });
  });

  it("measures the sampling error of accuracies as two standard errors", () => {
    const half = { ...PLAIN, accuracy: 0.5, images: 100 };
    expect(accuracyError(resultOf(half), resultOf(half))).toBeCloseTo(2 * Math.sqrt(0.005), 12);
    expect(accuracyError(resultOf(null), resultOf(half))).toBeNull();
    expect(accuracyError(resultOf({ ...half, images: 0 }), resultOf(half))).toBeNull();
  });
});
