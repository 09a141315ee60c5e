import type { CellRecord } from "../../workflows/study/records.ts";
import { csvRow } from "../text/csv.ts";

/** All numbers of a grid's finished runs as CSV (RFC 4180), one row a run; a number that is not there is empty. */
export function runsTable(records: readonly CellRecord[]): string {
  const rows = records.flatMap((record) => {
    if (record.status !== "done") return [];
    const { id, model, dataset, method, kind, seed, test, spurious, explanations } = record;
    const { bestEpoch, steps, seconds, secondsPerStep, parameters } = record;
    const { split: _, ...judged } = test;
    return [
      {
        ...{ id, model, dataset, method, kind, seed, bestEpoch, steps, seconds, secondsPerStep, parameters },
        ...flat("test", judged),
        ...flat("spurious", spurious ?? {}),
        ...flat("explanations", explanations?.values ?? {}),
      } as Record<string, unknown>,
    ];
  });
  const named = [...new Set(rows.flatMap(Object.keys))];
  // Of a part that one run has and another lacks, its numbers have columns, the part itself none.
  const columns = named.filter((name) => !named.some((other) => other.startsWith(`${name}.`)));
  return [columns, ...rows.map((row) => columns.map((column) => row[column]))].map(csvRow).join("");
}

/** `{ accuracy: { random: 1 } }` as `{ "spurious.accuracy.random": 1 }`. */
function flat(prefix: string, record: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(record).flatMap(([key, value]) =>
      typeof value === "object" && value !== null
        ? Object.entries(flat(`${prefix}.${key}`, value))
        : [[`${prefix}.${key}`, value] as [string, unknown]],
    ),
  );
}
