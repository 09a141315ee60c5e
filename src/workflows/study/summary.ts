import { type MeasureId, measured } from "./measures.ts";
import type { DoneRun, GridRunRecord } from "./records.ts";

/** Mean over the seeds and sample standard deviation (n − 1); NaN if it does not exist. */
export interface Spread {
  mean: number;
  deviation: number;
}

/** The results of one model, data set and method over all seeds. */
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

/** One row for each model, data set and method, in the order of the records. */
export function summarise(records: readonly GridRunRecord[]): SummaryRow[] {
  return rowsOf(records).map((group) => {
    const { model, dataset, method } = group[0] as GridRunRecord;
    const done = group.filter((record): record is DoneRun => record.status === "done");
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

/** The records of each model, data set and method, in the order of their first record. */
export function rowsOf<T extends GridRunRecord>(records: readonly T[]): T[][] {
  const groups = new Map<string, T[]>();
  for (const record of records) {
    const row = JSON.stringify([record.model, record.dataset, record.method]);
    groups.set(row, [...(groups.get(row) ?? []), record]);
  }
  return [...groups.values()];
}

/** Mean and standard deviation of the finite values, which JSON stores as numbers. */
export function spread(values: readonly (number | null)[]): Spread {
  const known = values.filter((value) => value !== null && Number.isFinite(value)) as number[];
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  const squares = known.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: known.length > 1 ? Math.sqrt(squares / (known.length - 1)) : Number.NaN };
}
