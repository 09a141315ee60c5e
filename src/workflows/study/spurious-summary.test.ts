import { describe, expect, it } from "vitest";
import { doneRun, failedRun, gridRuns } from "../../../test/support/grid-runs.ts";
import { runsTable } from "../../report/grid/table-files.ts";
import type { SpuriousRecord } from "../evaluate/spurious.ts";
import { summariseSpurious } from "./spurious-summary.ts";

const METHODS = [
  { name: "plain", plain: true },
  { name: "guided", lambdaPrototype: 5 },
  { name: "shuffled, really", lambdaPrototype: 5, prototypes: "shuffled" },
  { name: "RRR", baseline: "rrr" },
] as const;
const runs = gridRuns({ datasets: "decoy-mnist", seeds: 2, methods: [...METHODS] });

function leaning(random: number, patch: number | null = 0.1): SpuriousRecord {
  const each = { aligned: 0.99, random, clean: 0.5, adversarial: 0.25 };
  const wrongReason = patch === null ? null : { score: 2 * patch, dropped: 0 };
  return {
    images: 100,
    accuracy: each,
    worstClass: { ...each, random: random / 2 },
    energyInPatch: patch,
    wrongReason,
  };
}

const RANDOM: Record<string, readonly [number, number]> = {
  plain: [0.5, 0.7],
  guided: [0.8, 0.8],
  "shuffled, really": [0.9, 0.9],
  RRR: [1, 1],
};
const records = runs.map((run) => doneRun(run, { spurious: leaning(RANDOM[run.method]?.[run.seed] ?? 0) }));

describe("summariseSpurious", () => {
  it("has each method's accuracies over the seeds, its kind, and the fraction of the gap to the best reference that it closes", () => {
    const rows = summariseSpurious(records);
    expect(rows.map(({ method, kind, done }) => [method, kind, done])).toEqual([
      ["plain", "plain", 2],
      ["guided", "guided", 2],
      ["shuffled, really", "control", 2],
      ["RRR", "reference", 2],
    ]);
    expect(rows[0]?.accuracy.random.mean).toBeCloseTo(0.6, 12);
    expect(rows[0]?.accuracy.random.deviation).toBeCloseTo(Math.SQRT2 / 10, 12);
    expect(rows[0]?.worstClass.mean).toBeCloseTo(0.3, 12);
    expect(rows.map(({ gapClosed }) => gapClosed)).toEqual([0, 0.5, 0.75, 1].map((share) => expect.closeTo(share, 12)));
    expect(rows[1]?.wrongReason.mean).toBeCloseTo(0.2, 12);
  });

  it("has no such fraction without a reference, without plain training, or if plain training loses nothing", () => {
    const without = (method: string) => summariseSpurious(records.filter((record) => record.method !== method));
    for (const rows of [without("RRR"), without("plain")])
      expect(rows.every(({ gapClosed }) => gapClosed === null)).toBe(true);
    const equal = records.map((record) => ({ ...record, spurious: leaning(0.9) }));
    expect(summariseSpurious(equal).every(({ gapClosed }) => gapClosed === null)).toBe(true);
  });

  it("has no fraction of a gap that is below two points or not significant", () => {
    const three = gridRuns({ datasets: "decoy-mnist", seeds: 3, methods: [METHODS[0], METHODS[1], METHODS[3]] });
    const shares = (plain: number[], reference: number[]) =>
      summariseSpurious(
        three.map((run) => {
          const values: Record<string, number[]> = { plain, guided: [0.6, 0.6, 0.6], RRR: reference };
          return doneRun(run, { spurious: leaning(values[run.method]?.[run.seed] ?? 0) });
        }),
      ).map(({ gapClosed }) => gapClosed);
    expect(shares([0.5, 0.51, 0.49], [0.8, 0.79, 0.81])).toEqual(
      [0, 1 / 3, 1].map((share) => expect.closeTo(share, 12)),
    );
    expect(shares([0.5, 0.51, 0.49], [0.515, 0.525, 0.505])).toEqual([null, null, null]);
    expect(shares([0.5, 0.6, 0.4], [0.9, 0.5, 0.6])).toEqual([null, null, null]);
  });

  it("leaves out failed runs and runs without a cue, and measures that a cue without a position does not have", () => {
    const [first, ...rest] = records as [(typeof records)[0], ...typeof records];
    const mixed = [doneRun(runs[0] as never), failedRun(runs[1] as never), ...rest.slice(1)];
    expect(summariseSpurious(mixed).map(({ method }) => method)).toEqual(
      summariseSpurious(rest.slice(1)).map(({ method }) => method),
    );
    const [row] = summariseSpurious([{ ...first, spurious: leaning(0.5, null) }]);
    expect(row?.energyInPatch.mean).toBeNaN();
    expect(row?.wrongReason.mean).toBeNaN();
  });
});

describe("runsTable", () => {
  const lines = runsTable([...records, failedRun(runs[0] as never)])
    .trimEnd()
    .split("\n");

  it("has a row for each finished run, and each number under its path in the record", () => {
    expect(lines).toHaveLength(1 + records.length);
    const [header = ""] = lines;
    for (const column of ["seed", "test.accuracy", "spurious.accuracy.random", "spurious.wrongReason.score"])
      expect(header.split(",")).toContain(column);
    const at = header.split(",").indexOf("spurious.accuracy.random");
    expect(lines[1]?.split(",")[at]).toBe("0.5");
  });

  it("quotes values with a comma, and leaves unknown values empty", () => {
    expect(lines.some((line) => line.includes(',"shuffled, really",control,'))).toBe(true);
    const text = runsTable([doneRun(runs[0] as never, { test: { coherence: null } })]);
    expect(text).toMatch(/,0\.5,,0,0\.5\n$/);
  });

  it("has no column for a part that only some runs have", () => {
    const [first] = records as [(typeof records)[0]];
    const [header = ""] = runsTable([first, { ...first, spurious: leaning(0.5, null) }]).split("\n");
    expect(header.split(",")).toContain("spurious.wrongReason.score");
    expect(header.split(",")).not.toContain("spurious.wrongReason");
  });
});
