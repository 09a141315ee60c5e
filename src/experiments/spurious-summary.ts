import type { CueSet } from "../evaluate/spurious.ts";
import { type MeasureId, measured } from "./measures.ts";
import type { CellRecord, DoneCell, MethodKind } from "./records.ts";
import { rowsOf, type Spread, spread } from "./summary.ts";

/** How far the seeds of one model, data set and method lean on the data set's cue. */
export interface SpuriousRow {
  model: string;
  dataset: string;
  method: string;
  kind: MethodKind;
  done: number;
  accuracy: Record<CueSet, Spread>;
  /** Of the class that has the lowest accuracy on the random set. */
  worstClass: Spread;
  energyInPatch: Spread;
  wrongReason: Spread;
  /**
   * Share of what plain training loses to the best reference on the random set that the method wins back:
   * (m − plain) / (reference − plain), of means. Null without both, and where plain loses nothing.
   */
  gapClosed: number | null;
}

type CuedCell = DoneCell & { spurious: NonNullable<DoneCell["spurious"]> };

/** One row a model, data set and method that has a cue and a finished run, in the order of the records. */
export function summariseSpurious(records: readonly CellRecord[]): SpuriousRow[] {
  const cued = records.filter((record): record is CuedCell => record.status === "done" && record.spurious !== null);
  const rows = rowsOf(cued).map(rowOf);
  return rows.map((row) => ({ ...row, gapClosed: gapClosed(row, rows) }));
}

function rowOf(group: CuedCell[]): Omit<SpuriousRow, "gapClosed"> {
  const { model, dataset, method, kind } = group[0] as CuedCell;
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

type Leaning = Pick<SpuriousRow, "model" | "dataset" | "kind" | "accuracy">;

function gapClosed(row: Leaning, rows: readonly Leaning[]): number | null {
  const beside = rows.filter(({ model, dataset }) => model === row.model && dataset === row.dataset);
  const means = (kind: MethodKind) =>
    beside.filter((one) => one.kind === kind).map(({ accuracy }) => accuracy.random.mean);
  const [plain = Number.NaN] = means("plain");
  const gap = Math.max(...means("reference")) - plain;
  return gap > 0 && Number.isFinite(gap) ? (row.accuracy.random.mean - plain) / gap : null;
}
