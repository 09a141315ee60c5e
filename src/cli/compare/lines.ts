import { TrainConfig } from "../../config/index.ts";
import { counted, wordFor } from "../../counted.ts";
import { BatchCamError, type ErrorCode } from "../../errors.ts";
import { MEASURES, type MeasureName } from "../../measures.ts";
import { duration } from "../../report/text/duration.ts";
import { columnHead, factorOf } from "../../report/text/measure-text.ts";
import type { Cell, CellRecord } from "../../workflows/study/records.ts";
import type { SpuriousRow } from "../../workflows/study/spurious-summary.ts";
import type { CellState } from "../../workflows/study/store.ts";
import type { Spread, SummaryRow } from "../../workflows/study/summary.ts";
import { formatTable } from "../table.ts";
import { percent, short } from "../train/progress-lines.ts";

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

/** One finished cell, the k-th of the grid. What a failed one said is for `failureLines`, once. */
export function cellLine(record: CellRecord, { done, failed, total }: GridCount, seconds: number | null): string {
  const head = `[${done + failed}/${total}] ${cellName(record)}`;
  if (record.status === "failed") return `${head}  failed (${record.error.code})`;
  const { accuracy, mapSsim, deadMaps } = record.test;
  const maps = `${MEASURES.mapSsim.short} ${shortOr(mapSsim)}  dead ${percent(deadMaps)}`;
  const time = seconds === null ? "  by another process" : `  ${duration(seconds)}`;
  return `${head}  accuracy ${percent(accuracy, 2)}  ${maps}  ${milliseconds(record.secondsPerStep)} ms/step${time}`;
}

/** `7 of 24 done, 1 failed, about 12 min left`. */
export function countLine({ total, done, failed, left }: GridCount): string {
  const parts = [`${done} of ${total} done`, ...(failed > 0 ? [`${failed} failed`] : [])];
  return [...parts, ...(left === null ? [] : [`about ${duration(rounded(left))} left`])].join(", ");
}

/** As exact as an estimate is: to 5 s, from a minute on to minutes, from an hour on to 10 minutes. */
function rounded(seconds: number): number {
  const unit = seconds < 55 ? 5 : seconds < 3570 ? 60 : 600;
  return Math.max(1, Math.round(seconds / unit)) * unit;
}

/** The runs that are left are those of other processes. */
export function waitingLine({ cells, holder }: { cells: readonly Cell[]; holder: string }): string {
  const others = cells.length > 1 ? ` and others` : "";
  const runs = `${counted(cells.length, "run")} ${wordFor(cells.length, "is", "are")}`;
  return `${runs} under way by ${holder}${others}: waiting for the records (Ctrl-C ends the waiting alone)`;
}

const SHOWN = ["accuracy", "mapSsim", "coherence", "deadMaps"] as const satisfies MeasureName[];
const HEADERS = ["model", "data set", "method", "seeds", ...SHOWN.map((name) => MEASURES[name].short), "ms/step"];

/** Means over the seeds, with the standard deviation if there are several. */
export function summaryTable(rows: readonly SummaryRow[]): string {
  const cells = rows.map((row) => [
    ...[row.model, row.dataset, row.method],
    row.failed > 0 ? `${row.done} of ${row.done + row.failed}` : String(row.done),
    ...SHOWN.map((name) => measureCell(name, row[name], { withUnit: true })),
    spread(row.secondsPerStep, milliseconds),
  ]);
  return formatTable(HEADERS, cells, 3);
}

/** Mean and deviation of a measure with the decimals that the table of measures gives it. */
function measureCell(name: MeasureName, value: Spread, { withUnit = false } = {}): string {
  const { unit, digits } = MEASURES[name];
  return spread(value, (one) => (one * factorOf(MEASURES[name])).toFixed(digits), withUnit ? unit : "");
}

/** `98.1 ± 0.2%`; a dash if there is no mean. */
function spread({ mean, deviation }: Spread, text: (value: number) => string, unit = ""): string {
  if (!Number.isFinite(mean)) return "-";
  return Number.isFinite(deviation) ? `${text(mean)} ± ${text(deviation)}${unit}` : `${text(mean)}${unit}`;
}

/** The failed cells, each with what it said. */
export function failureLines(records: readonly CellRecord[]): string[] {
  return records.flatMap((record) =>
    record.status === "failed"
      ? [`${cellName(record)}: ${inOneLine(withoutOperation(record.error))} (${record.error.code})`]
      : [],
  );
}

/** The message without the function of the library at its head, which nobody called. */
const withoutOperation = ({ code, message }: { code: string; message: string }): string => {
  const { operation, detail } = new BatchCamError(code as ErrorCode, message);
  return operation !== undefined && Object.hasOwn(TrainConfig.shape, operation) ? message : detail;
};

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
  return `${table}\n${counted(cells.length, "run")}: ${counts.join(", ")}\n`;
}

const milliseconds = (seconds: number): string =>
  seconds < 1 ? (1000 * seconds).toPrecision(3) : (1000 * seconds).toFixed(0);

/** A value that JSON may have kept as null. */
function shortOr(value: number | null): string {
  return value === null || !Number.isFinite(value) ? "-" : short(value);
}

const COLUMNS: readonly (readonly [MeasureName, (row: SpuriousRow) => Spread])[] = [
  ["randomAccuracy", ({ accuracy }) => accuracy.random],
  ["worstClass", ({ worstClass }) => worstClass],
  ["cleanAccuracy", ({ accuracy }) => accuracy.clean],
  ["adversarialAccuracy", ({ accuracy }) => accuracy.adversarial],
  ["alignedAccuracy", ({ accuracy }) => accuracy.aligned],
  ["energyInPatch", ({ energyInPatch }) => energyInPatch],
  ["wrongReason", ({ wrongReason }) => wrongReason],
];
const SPURIOUS_HEADERS = [
  "data set",
  "method",
  "kind",
  ...COLUMNS.map(([name]) => columnHead(MEASURES[name])),
  "gap closed",
];

/**
 * How far each method relies on the cue of its data set, model by model. References see annotations or clean images, so they are upper
 * bounds and not rivals. Only what a method gains beyond the controls beside it is its own.
 */
export function spuriousTable(rows: readonly SpuriousRow[]): string {
  const several = new Set(rows.map(({ model }) => model)).size > 1;
  const cells = rows.map((row) => [
    several ? `${row.model}, ${row.dataset}` : row.dataset,
    ...[row.method, row.kind],
    ...COLUMNS.map(([name, read]) => measureCell(name, read(row))),
    row.gapClosed === null ? "-" : `${Math.round(100 * row.gapClosed)}%`,
  ]);
  const note =
    "gap closed: the share of what plain training loses to the best reference on random cues. Judge a method beside the controls.";
  return `${formatTable(SPURIOUS_HEADERS, cells, 3)}${note}\n`;
}
