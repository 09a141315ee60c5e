import { type MeasureId, measured } from "./measures.ts";
import type { CellRecord, DoneCell } from "./records.ts";

/** Mean over seeds and sample standard deviation (n − 1); NaN where there is none. */
export interface Spread {
  mean: number;
  deviation: number;
}

/** What the seeds of one model, data set and method come to. */
export interface SummaryRow {
  model: string;
  dataset: string;
  method: string;
  done: number;
  failed: number;
  accuracy: Spread;
  mapSsim: Spread;
  coherence: Spread;
  deadMaps: Spread;
  secondsPerStep: Spread;
}

/** One row a model, data set and method, in the order of the records. */
export function summarise(records: readonly CellRecord[]): SummaryRow[] {
  return rowsOf(records).map((group) => {
    const { model, dataset, method } = group[0] as CellRecord;
    const done = group.filter((record): record is DoneCell => record.status === "done");
    const over = (id: MeasureId) => spread(done.map((record) => measured(record, id)));
    return {
      ...{ model, dataset, method, done: done.length, failed: group.length - done.length },
      accuracy: over("accuracy"),
      mapSsim: over("mapSsim"),
      coherence: over("coherence"),
      deadMaps: over("deadMaps"),
      secondsPerStep: over("secondsPerStep"),
    };
  });
}

/** The records of each model, data set and method, in the order in which they first come. */
export function rowsOf<T extends CellRecord>(records: readonly T[]): T[][] {
  const groups = new Map<string, T[]>();
  for (const record of records) {
    const row = JSON.stringify([record.model, record.dataset, record.method]);
    groups.set(row, [...(groups.get(row) ?? []), record]);
  }
  return [...groups.values()];
}

/** Of the values that are numbers: JSON keeps none that is not finite. */
export function spread(values: readonly (number | null)[]): Spread {
  const known = values.filter((value) => value !== null && Number.isFinite(value)) as number[];
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  const squares = known.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: known.length > 1 ? Math.sqrt(squares / (known.length - 1)) : Number.NaN };
}
