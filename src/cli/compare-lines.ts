import type { Cell, CellRecord } from "../experiments/records.ts";
import type { CellState } from "../experiments/store.ts";
import type { Spread, SummaryRow } from "../experiments/summary.ts";
import { clock, percent, short } from "./progress-lines.ts";
import { formatTable } from "./table.ts";

/** How far a grid is. */
export interface GridCount {
  total: number;
  done: number;
  failed: number;
  /** Seconds; null while that is not known. */
  left: number | null;
}

export const cellName = ({ model, dataset, method, seed }: Cell): string =>
  `${model}  ${dataset}  ${method}  seed ${seed}`;

/** One finished cell, the k-th of the grid. */
export function cellLine(record: CellRecord, { done, failed, total }: GridCount, seconds: number | null): string {
  const head = `[${done + failed}/${total}] ${cellName(record)}`;
  if (record.status === "failed") return `${head}  failed: ${inOneLine(record.error.message)}`;
  const { accuracy, mapSsim, deadMaps } = record.test;
  const maps = `map SSIM ${shortOr(mapSsim)}  dead ${percent(deadMaps)}`;
  const time = seconds === null ? "  by another process" : `  ${clock(seconds)}`;
  return `${head}  accuracy ${percent(accuracy, 2)}  ${maps}  ${milliseconds(record.secondsPerStep)} ms/step${time}`;
}

/** `7 of 24 done, 1 failed, about 12 min left`. */
export function countLine({ total, done, failed, left }: GridCount): string {
  const parts = [`${done} of ${total} done`, ...(failed > 0 ? [`${failed} failed`] : [])];
  return [...parts, ...(left === null ? [] : [`about ${duration(left)} left`])].join(", ");
}

/** The runs that are left are those of other processes. */
export function waitingLine({ cells, holder }: { cells: readonly Cell[]; holder: string }): string {
  const others = cells.length > 1 ? ` and others` : "";
  const runs = `${cells.length} ${cells.length === 1 ? "run is" : "runs are"}`;
  return `${runs} under way by ${holder}${others}: waiting for the records (Ctrl-C ends the waiting alone)`;
}

/** As exact as an estimate is: `40 s`, `12 min`, `3 h 20 min`. */
export function duration(seconds: number): string {
  if (seconds < 55) return `${Math.max(5, Math.round(seconds / 5) * 5)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${Math.max(1, minutes)} min`;
  const tens = Math.round(minutes / 10);
  return tens % 6 === 0 ? `${tens / 6} h` : `${Math.floor(tens / 6)} h ${(tens % 6) * 10} min`;
}

const HEADERS = ["model", "data set", "method", "seeds", "accuracy", "map SSIM", "coherence", "dead maps", "ms/step"];

/** Means over the seeds, with the standard deviation where there are several. */
export function summaryTable(rows: readonly SummaryRow[]): string {
  const cells = rows.map((row) => [
    ...[row.model, row.dataset, row.method],
    row.failed > 0 ? `${row.done} of ${row.done + row.failed}` : String(row.done),
    spread(row.accuracy, (value) => (100 * value).toFixed(2), "%"),
    spread(row.mapSsim, short),
    spread(row.coherence, short),
    spread(row.deadMaps, (value) => (100 * value).toFixed(1), "%"),
    spread(row.secondsPerStep, milliseconds),
  ]);
  return formatTable(HEADERS, cells, 3);
}

/** `98.1 ± 0.2%`; a dash where there is no mean. */
export function spread({ mean, deviation }: Spread, text: (value: number) => string, unit = ""): string {
  if (!Number.isFinite(mean)) return "-";
  return Number.isFinite(deviation) ? `${text(mean)} ± ${text(deviation)}${unit}` : `${text(mean)}${unit}`;
}

/** The failed cells, each with what it said. */
export function failureLines(records: readonly CellRecord[]): string[] {
  return records.flatMap((record) =>
    record.status === "failed"
      ? [`${cellName(record)}: ${inOneLine(record.error.message)} (${record.error.code})`]
      : [],
  );
}

/** A message may end in a broken process's last words. */
function inOneLine(message: string): string {
  const line = message.replace(/\s+/g, " ");
  return line.length > LONGEST ? `${line.slice(0, LONGEST)} ...` : line;
}

const LONGEST = 300;

/** The grid's cells and how far each is. */
export function listTable(cells: readonly { cell: Cell; state: CellState }[]): string {
  const rows = cells.map(({ cell, state }) => [
    ...[cell.id, cell.model, cell.dataset, cell.method],
    ...[cell.kind, String(cell.seed), state],
  ]);
  const states = [...new Set(cells.map(({ state }) => state))];
  const counts = states.map((state) => `${cells.filter((one) => one.state === state).length} ${state}`);
  const table = formatTable(["run", "model", "data set", "method", "kind", "seed", "state"], rows, 7);
  return `${table}\n${cells.length} runs: ${counts.join(", ")}\n`;
}

const milliseconds = (seconds: number): string =>
  seconds < 1 ? (1000 * seconds).toPrecision(3) : (1000 * seconds).toFixed(0);

/** A value that JSON may have kept as null. */
function shortOr(value: number | null): string {
  return value === null || !Number.isFinite(value) ? "-" : short(value);
}
