import type { TrainConfig } from "../../config/index.ts";
import type { LogRow } from "../../train/run/metrics-log.ts";

/** Steps at a run's beginning that are slower than the rest: memory is asked for, kernels are made. */
const WARM_UP = 5;

/**
 * Median time of a step in seconds, data to optimizer, after the first five, from a run's log of every step; of all steps where
 * there are no others. A batch that an epoch's end cuts short counts as the full one that it goes at the rate of. NaN for a log
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
