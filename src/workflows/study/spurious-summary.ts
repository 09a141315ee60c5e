import type { CueSet } from "../evaluate/spurious.ts";
import { type MeasureId, measured } from "./measures.ts";
import { pairedTest } from "./paired-test.ts";
import type { DoneRun, GridRunRecord, MethodKind } from "./records.ts";
import { rowsOf, type Spread, spread } from "./summary.ts";

/** How much the runs of one model, data set and method rely on the data set's cue, over all seeds. */
export interface SpuriousRow {
  model: string;
  dataset: string;
  method: string;
  kind: MethodKind;
  done: number;
  accuracy: Record<CueSet, Spread>;
  /** The accuracy of the class with the lowest accuracy on the random set. */
  worstClass: Spread;
  energyInPatch: Spread;
  wrongReason: Spread;
  /**
   * The fraction of the accuracy gap between plain training and the best reference, on the random set, that the method closes: (m − plain)
   * / (reference − plain), of means. Null without both, and if the gap is below two points or not significant, because a fraction of such a
   * gap means nothing.
   */
  gapClosed: number | null;
}

type CuedRun = DoneRun & { spurious: NonNullable<DoneRun["spurious"]> };

/** One row for each model, data set and method that has a cue and a finished run, in the order of the records. */
export function summariseSpurious(records: readonly GridRunRecord[]): SpuriousRow[] {
  const cued = records.filter((record): record is CuedRun => record.status === "done" && record.spurious !== null);
  const groups = rowsOf(cued);
  const rows = groups.map(rowOf);
  return rows.map((row) => ({ ...row, gapClosed: gapClosed(row, groups) }));
}

function rowOf(group: CuedRun[]): Omit<SpuriousRow, "gapClosed"> {
  const { model, dataset, method, kind } = group[0] as CuedRun;
  const over = (id: MeasureId) => spread(group.map((record) => measured(record, id)));
  const on = (set: CueSet) => over(`${set}Accuracy`);
  return {
    ...{ model, dataset, method, kind, done: group.length },
    accuracy: { aligned: on("aligned"), random: on("random"), clean: on("clean"), adversarial: on("adversarial") },
    worstClass: over("worstClass"),
    energyInPatch: over("energyInPatch"),
    wrongReason: over("wrongReason"),
  };
}

/** A smaller difference between plain training and the best reference does not count as a gap. */
const LEAST_GAP = 0.02;

type Leaning = Pick<SpuriousRow, "model" | "dataset" | "accuracy">;

function gapClosed({ model, dataset, accuracy }: Leaning, groups: readonly CuedRun[][]): number | null {
  const beside = groups.filter(([one]) => one?.model === model && one.dataset === dataset);
  const plain = beside.find(([one]) => one?.kind === "plain");
  const references = beside.filter(([one]) => one?.kind === "reference");
  if (plain === undefined || references.length === 0) return null;
  const best = references.reduce((a, b) => (meanOnRandom(b) > meanOnRandom(a) ? b : a));
  const gap = meanOnRandom(best) - meanOnRandom(plain);
  const { p } = pairedTest(best.flatMap((one) => differenceFrom(plain, one)));
  if (!(gap >= LEAST_GAP) || (p !== null && p >= 0.05)) return null;
  return (accuracy.random.mean - meanOnRandom(plain)) / gap;
}

const onRandom = (record: CuedRun): number | null => measured(record, "randomAccuracy");
const meanOnRandom = (records: readonly CuedRun[]): number => spread(records.map(onRandom)).mean;

function differenceFrom(plain: readonly CuedRun[], record: CuedRun): number[] {
  const base = plain.find(({ seed }) => seed === record.seed);
  const [value, before] = [onRandom(record), base === undefined ? null : onRandom(base)];
  return value === null || before === null ? [] : [value - before];
}
