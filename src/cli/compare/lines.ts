import { TrainConfig } from "../../config/index.ts";
import { counted, wordFor } from "../../counted.ts";
import { BatchCamError, type ErrorCode } from "../../errors.ts";
import { MEASURES, type MeasureName } from "../../measures.ts";
import { columnHead, duration, factorOf } from "../../report/internal.ts";
import type { GridRun, GridRunRecord, RunState, Spread, SpuriousRow, SummaryRow } from "../../workflows/internal.ts";
import { formatTable } from "../table.ts";
import { percent, short } from "../train/progress-lines.ts";

/** The progress of a grid. */
export interface GridCount {
  total: number;
  done: number;
  failed: number;
  /** Estimated seconds until the grid is finished, or null if they are not known yet. */
  left: number | null;
}

export const runName = ({ model, dataset, method, seed }: GridRun): string =>
  `${model}  ${dataset}  ${method}  seed ${seed}`;

/**
 * The line for a run of the grid that has ended. The message of a failed run is not part of it; `failureLines` prints that once at the end.
 */
export function runLine(record: GridRunRecord, { done, failed, total }: GridCount, seconds: number | null): string {
  const head = `[${done + failed}/${total}] ${runName(record)}`;
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

/** Rounds to the accuracy of the estimate: to 5 s below a minute, to minutes below an hour, to 10 minutes above. */
function rounded(seconds: number): number {
  const unit = seconds < 55 ? 5 : seconds < 3570 ? 60 : 600;
  return Math.max(1, Math.round(seconds / unit)) * unit;
}

/** The line that is shown while only other processes still work on the grid. */
export function waitingLine({ runs, holder }: { runs: readonly GridRun[]; holder: string }): string {
  const others = runs.length > 1 ? ` and others` : "";
  const training = `${counted(runs.length, "run")} ${wordFor(runs.length, "is", "are")}`;
  return `${training} being trained by ${holder}${others}: waiting for the results (Ctrl-C only stops this wait)`;
}

const SHOWN = ["accuracy", "mapSsim", "coherence", "deadMaps"] as const satisfies MeasureName[];
const HEADERS = ["model", "data set", "method", "seeds", ...SHOWN.map((name) => MEASURES[name].short), "ms/step"];

/** The mean of each measure over the seeds, with the standard deviation if there are several seeds. */
export function summaryTable(rows: readonly SummaryRow[]): string {
  const runs = rows.map((row) => [
    ...[row.model, row.dataset, row.method],
    row.failed > 0 ? `${row.done} of ${row.done + row.failed}` : String(row.done),
    ...SHOWN.map((name) => measureCell(name, row[name], { withUnit: true })),
    spread(row.secondsPerStep, milliseconds),
  ]);
  return formatTable(HEADERS, runs, 3);
}

/** Mean and standard deviation of a measure, with as many decimals as the table of measures defines for it. */
function measureCell(name: MeasureName, value: Spread, { withUnit = false } = {}): string {
  const { unit, digits } = MEASURES[name];
  return spread(value, (one) => (one * factorOf(MEASURES[name])).toFixed(digits), withUnit ? unit : "");
}

/** Formats `98.1 ± 0.2%`, or a dash if the mean is missing. */
function spread({ mean, deviation }: Spread, text: (value: number) => string, unit = ""): string {
  if (!Number.isFinite(mean)) return "-";
  return Number.isFinite(deviation) ? `${text(mean)} ± ${text(deviation)}${unit}` : `${text(mean)}${unit}`;
}

/** One line for each failed run, with its error message. */
export function failureLines(records: readonly GridRunRecord[]): string[] {
  return records.flatMap((record) =>
    record.status === "failed"
      ? [`${runName(record)}: ${inOneLine(withoutOperation(record.error))} (${record.error.code})`]
      : [],
  );
}

/** Removes the library function at the start of the message, which the user never called. */
const withoutOperation = ({ code, message }: { code: string; message: string }): string => {
  const { operation, detail } = new BatchCamError(code as ErrorCode, message);
  return operation !== undefined && Object.hasOwn(TrainConfig.shape, operation) ? message : detail;
};

/** Joins the lines of a message, because it may end with the last output of a crashed process. */
function inOneLine(message: string): string {
  const line = message.replace(/\s+/g, " ");
  return line.length > LONGEST ? `${line.slice(0, LONGEST)} ...` : line;
}

const LONGEST = 300;

/** A table of the grid's runs and the state of each. */
export function listTable(runs: readonly { run: GridRun; state: RunState }[]): string {
  const rows = runs.map(({ run, state }) => [
    ...[run.id, run.model, run.dataset, run.method],
    ...[run.kind, String(run.seed), state],
  ]);
  const states = [...new Set(runs.map(({ state }) => state))];
  const counts = states.map((state) => `${runs.filter((one) => one.state === state).length} ${state}`);
  const table = formatTable(["run", "model", "data set", "method", "kind", "seed", "state"], rows, 7);
  return `${table}\n${counted(runs.length, "run")}: ${counts.join(", ")}\n`;
}

const milliseconds = (seconds: number): string =>
  seconds < 1 ? (1000 * seconds).toPrecision(3) : (1000 * seconds).toFixed(0);

/** Formats a value that JSON stores as null if it is not finite. */
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
 * A table of how much each method relies on the cue of its data set, for each model. The reference methods use annotations or clean images,
 * so they are upper bounds rather than competitors. The controls show the gain that guidance has for reasons other than its prototypes;
 * only a larger gain is due to the method.
 */
export function spuriousTable(rows: readonly SpuriousRow[]): string {
  const several = new Set(rows.map(({ model }) => model)).size > 1;
  const runs = rows.map((row) => [
    several ? `${row.model}, ${row.dataset}` : row.dataset,
    ...[row.method, row.kind],
    ...COLUMNS.map(([name, read]) => measureCell(name, read(row))),
    row.gapClosed === null ? "-" : `${Math.round(100 * row.gapClosed)}%`,
  ]);
  const note =
    "gap closed: the share of the accuracy gap between plain training and the best reference, on random cues. Compare a method with the controls.";
  return `${formatTable(SPURIOUS_HEADERS, runs, 3)}${note}\n`;
}
