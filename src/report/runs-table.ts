import type { CellRecord } from "./records.ts";

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
  const columns = [...new Set(rows.flatMap(Object.keys))];
  const lines = rows.map((row) => columns.map((column) => cell(row[column])).join(","));
  return `${[columns.map(cell).join(","), ...lines].join("\n")}\n`;
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

function cell(value: unknown): string {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
