import type { TrainConfig } from "../../config/index.ts";
import type { LogRow } from "../../train/internal.ts";

/** The number of steps at the start of a run that are slower than the rest, because memory is allocated and kernels are compiled. */
const WARM_UP = 5;

/**
 * The median time of a step in seconds, from data to optimizer, computed from a run's log of every step. The first five steps are left
 * out, unless the log has only these. The last batch of an epoch may be smaller; its time is scaled to a full batch. NaN for a log
 * without steps.
 */
export function medianStepSeconds(
  log: readonly LogRow[],
  { batchSize, gradAccumSteps }: Pick<TrainConfig, "batchSize" | "gradAccumSteps">,
): number {
  const images = batchSize * gradAccumSteps;
  const seconds = log.flatMap((row) => (row.kind === "step" ? [images / row.imagesPerSecond] : []));
  return median(seconds.length > WARM_UP ? seconds.slice(WARM_UP) : seconds);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
