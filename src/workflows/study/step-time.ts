import type { TrainConfig } from "../../config/index.ts";
import type { LogRow } from "../../train/internal.ts";

/** The number of steps at the start of a run that are slower than the rest, because memory is allocated and kernels are compiled. */
const WARM_UP = 5;

/**
 * The time of a step in seconds, from data to optimizer, computed from a run's log of every step. It is the median of the guided steps and
 * that of the others, each counted as often as such steps occurred. The first five steps are left out, unless the log has only these. The
 * last batch of an epoch may be smaller; its time is scaled to a full batch. NaN for a log without steps.
 */
export function medianStepSeconds(
  log: readonly LogRow[],
  { batchSize, gradAccumSteps }: Pick<TrainConfig, "batchSize" | "gradAccumSteps">,
): number {
  const images = batchSize * gradAccumSteps;
  const steps = log.filter((row) => row.kind === "step");
  const settled = steps.length > WARM_UP ? steps.slice(WARM_UP) : steps;
  if (settled.length === 0) return Number.NaN;
  const kinds = [settled.filter(isGuided), settled.filter((row) => !isGuided(row))].filter((rows) => rows.length > 0);
  const seconds = (rows: typeof settled) => median(rows.map(({ imagesPerSecond }) => images / imagesPerSecond));
  return kinds.reduce((sum, rows) => sum + (seconds(rows) * rows.length) / settled.length, 0);
}

const isGuided = ({ prototypeLoss, batchCamLoss, baselineLoss }: Extract<LogRow, { kind: "step" }>): boolean =>
  [prototypeLoss, batchCamLoss, baselineLoss].some((term) => typeof term === "number");

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
