import { describe, expect, it } from "vitest";
import { doneRun, failedRun, gridRuns } from "../../../test/support/grid-runs.ts";
import { analyse } from "./analysis.ts";
import type { DoneRun, GridRunRecord } from "./records.ts";

const METHODS = [
  { name: "plain", plain: true },
  { name: "near" },
  { name: "far", lambdaPrototype: 5 },
  { name: "wrong prototypes", prototypes: "shuffled" },
];

/** Records of a grid with the given accuracy for each method and seed. A null means a run that has not ended. */
function records(accuracies: Record<string, (number | null)[]>, over: Partial<DoneRun> = {}): GridRunRecord[] {
  const seeds = Math.max(...Object.values(accuracies).map(({ length }) => length));
  return gridRuns({ methods: METHODS, seeds }).flatMap((run) => {
    const accuracy = accuracies[run.method]?.[run.seed];
    return accuracy === undefined || accuracy === null ? [] : [doneRun(run, { test: { accuracy }, ...over })];
  });
}

const groupOf = (list: GridRunRecord[]) => analyse(list)[0] as ReturnType<typeof analyse>[number];
const methodOf = (list: GridRunRecord[], name: string) => groupOf(list).methods.find(({ method }) => method === name);

describe("the analysis of a grid", () => {
  const list = records({
    plain: [0.9, 0.92, 0.91],
    near: [0.93, 0.95, 0.942],
    far: [0.91, 0.92, 0.93],
  });

  it("compares each method with plain training with the same seeds", () => {
    const { plain, methods } = groupOf(list);
    expect(plain).toBe("plain");
    expect(methods.map(({ method, kind }) => [method, kind])).toEqual([
      ["plain", "plain"],
      ["near", "guided"],
      ["far", "guided"],
    ]);
    expect(methods[0]?.effects).toBeNull();
    expect(methods[1]?.effects?.accuracy).toMatchObject({ pairs: 3, mean: expect.closeTo(0.0306667, 6) });
    expect(methods[1]?.effects?.accuracy.p).toBeLessThan(0.001);
  });

  it("corrects p for all methods that are compared with the same plain training", () => {
    const [near, far] = ["near", "far"].map((name) => methodOf(list, name)?.effects?.accuracy);
    expect(near?.adjusted).toBeCloseTo(2 * (near?.p as number), 12);
    expect(far?.adjusted).toBe(far?.p);
  });

  it("pairs by seed, not by position: if a run is missing, its partner is left out", () => {
    const effect = methodOf(records({ plain: [null, 0.5, 0.6], near: [0.9, 0.7, null] }), "near")?.effects?.accuracy;
    expect(effect).toMatchObject({ pairs: 1, mean: expect.closeTo(0.2, 12), p: null, adjusted: null });
  });

  it("gives the time of a step relative to plain training with the same seed", () => {
    const slow = records({ plain: [0.9, 0.9], near: [0.9, 0.9] }).map((record) => {
      const seconds = (record.method === "near" ? 3 : 2) * (record.seed + 1);
      return { ...(record as DoneRun), secondsPerStep: seconds };
    });
    expect(methodOf(slow, "near")?.overhead).toEqual({ mean: 1.5, deviation: 0 });
    expect(methodOf(slow, "plain")?.overhead).toEqual({ mean: 1, deviation: Number.NaN });
  });

  it("has no effects without plain training, and none for values that JSON cannot store", () => {
    expect(methodOf(records({ near: [0.9, 0.9, 0.9] }), "near")).toMatchObject({ effects: null });
    expect(groupOf(records({ near: [0.9] })).plain).toBeNull();
    const broken = list.map((record) => ({
      ...(record as DoneRun),
      test: { ...(record as DoneRun).test, coherence: null as unknown as number },
    }));
    expect(methodOf(broken, "near")?.values.coherence).toEqual({ mean: Number.NaN, deviation: Number.NaN });
    expect(methodOf(broken, "near")?.effects?.coherence).toMatchObject({ pairs: 0, mean: null, p: null });
  });

  it("counts failed runs, and leaves them out of every number", () => {
    const runs = gridRuns({ methods: METHODS, seeds: 2 }).filter(({ method }) => method === "near");
    const [one, two] = runs.map((run, i) => (i === 0 ? doneRun(run) : failedRun(run)));
    expect(methodOf([one, two] as GridRunRecord[], "near")).toMatchObject({
      failed: 1,
      values: { accuracy: { mean: 0.9, deviation: Number.NaN } },
    });
  });
});

describe("the best method and the best control", () => {
  const cued = (accuracies: Record<string, (number | null)[]>) =>
    records(accuracies).map((record) => {
      const { accuracy } = (record as DoneRun).test;
      const same = { aligned: accuracy, random: accuracy, clean: accuracy, adversarial: accuracy };
      const spurious = { images: 100, accuracy: same, worstClass: same, energyInPatch: null, wrongReason: null };
      return { ...(record as DoneRun), spurious };
    });

  it("are those with the highest accuracy with random cues, paired by seed", () => {
    const { duel } = groupOf(
      cued({
        plain: [0.5, 0.5, 0.5],
        near: [0.8, 0.9, 0.86],
        far: [0.6, 0.6, 0.6],
        "wrong prototypes": [0.7, 0.82, 0.75],
      }),
    );
    expect(duel).toMatchObject({ method: "near", control: "wrong prototypes", test: { pairs: 3 } });
    expect(duel?.test.mean).toBeCloseTo(0.29 / 3, 12);
  });

  it("are left out if there is no control, no method, or no cue", () => {
    expect(groupOf(cued({ plain: [0.5], near: [0.8] })).duel).toBeNull();
    expect(groupOf(cued({ plain: [0.5], "wrong prototypes": [0.8] })).duel).toBeNull();
    expect(groupOf(records({ near: [0.8], "wrong prototypes": [0.8] })).duel).toBeNull();
  });
});
