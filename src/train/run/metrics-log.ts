import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import { BatchCamError } from "../../errors.ts";
import { appendRegularText, readRegularText } from "../../regular-file.ts";
import type { Progress } from "./checkpoint.ts";
import type { BalanceEvent, EpochRecord, Rejudged, StepMetrics } from "./events.ts";

type StepRow = { kind: "step"; epoch: number; step: number; imagesPerSecond: number } & StepMetrics;

export type LogRow =
  | StepRow
  | ({ kind: "balance" } & Omit<BalanceEvent, "type">)
  | ({ kind: "epoch" } & EpochRecord)
  | ({ kind: "rejudged" } & Rejudged);

type RewindTarget = Pick<Progress, "step" | "epoch" | "history" | "rejudged">;

/** The first step whose rows were removed from a log, and the step rows from there on that are still valid. */
export interface Rewound {
  fromStep: number;
  left: readonly StepRow[];
}

/**
 * `metrics.jsonl` and `summary.csv` of a run. Each row of the log is appended with one write, so that a killed process can
 * leave only the last row incomplete. Resuming drops that row and every row after the checkpoint.
 */
export class MetricsLog {
  readonly path: string;
  readonly #summaryPath: string;
  /** Whether the log is known to be a regular file, which is checked before the first row of a run is written. */
  #checked = false;

  constructor(runDirectory: string) {
    this.path = join(runDirectory, "metrics.jsonl");
    this.#summaryPath = join(runDirectory, "summary.csv");
  }

  async append(row: LogRow): Promise<void> {
    try {
      const line = `${JSON.stringify(row)}\n`;
      await (this.#checked ? appendFile(this.path, line) : appendRegularText(this.path, line));
      this.#checked = true;
    } catch (cause) {
      throw new BatchCamError("E_IO", `cannot write ${this.path}: ${(cause as Error).message}`, { cause });
    }
  }

  /**
   * Keeps the rows up to `step`. Of the epoch rows, only those before `epoch` are kept, because that epoch has not been
   * validated yet.
   * @returns the first step of which a row was or may have been removed, and the step rows from there on that are still
   * valid
   */
  async rewindTo({ step, epoch, history, rejudged }: RewindTarget): Promise<Rewound> {
    const isStale = (row: LogRow) => row.kind === "epoch" && row.epoch >= epoch;
    // A second validation of the best epoch is logged before its checkpoint is written.
    const isVoid = (row: LogRow) => row.kind === "rejudged" && row.step > (rejudged?.step ?? -1);
    const rows = (await readLog(this.path)).filter((row) => row.step <= step && !isVoid(row));
    const kept = rows.filter((row) => !isStale(row));
    await writeFileAtomically(this.path, kept.map((row) => `${JSON.stringify(row)}\n`).join(""));
    await this.writeSummary(history);
    const fromStep = Math.min(step + 1, ...rows.filter(isStale).map((row) => row.step));
    return { fromStep, left: kept.filter((row) => row.kind === "step" && row.step >= fromStep) as StepRow[] };
  }

  /** The table `summary.csv`, with a row of numbers for each epoch. */
  async writeSummary(history: readonly EpochRecord[]): Promise<void> {
    const rows = history.map(flatten);
    const columns = Object.keys(rows[0] ?? {});
    const lines = rows.map((row) => columns.map((column) => row[column] ?? "").join(","));
    await writeFileAtomically(this.#summaryPath, `${[columns.join(","), ...lines].join("\n")}\n`);
  }
}

/** The rows of a log that can be read; an incomplete last row is left out. */
export async function readLog(path: string): Promise<LogRow[]> {
  const text = await readRegularText(path).catch(() => "");
  return text.split("\n").flatMap((line) => {
    try {
      const row = JSON.parse(line) as LogRow | null;
      return typeof row?.step === "number" ? [row] : [];
    } catch {
      return [];
    }
  });
}

function flatten({ train, val, ...rest }: EpochRecord): Record<string, string | number | boolean | null> {
  const { split: _, classAccuracy: __, ...validation } = val;
  const prefixed = (prefix: string, record: object) =>
    Object.fromEntries(Object.entries(record).map(([key, value]) => [`${prefix}.${key}`, value]));
  return { ...rest, ...prefixed("train", train), ...prefixed("val", validation) };
}
