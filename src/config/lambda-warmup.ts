import { expectNumber, objectOf } from "../arguments.ts";
import type { TrainConfig } from "./train-fields.ts";

/** A longer warm-up was not better in any run that was measured. */
const MOST_STEPS = 150;

/**
 * Number of steps over which the weights of the guidance rise: the configured number, otherwise a third of the run's
 * steps and at most 150, so that a short run is guided too.
 *
 * @param steps number of steps of the run
 */
export function lambdaWarmupOf(config: Pick<TrainConfig, "lambdaWarmup">, steps: number): number {
  const { lambdaWarmup } = objectOf("lambdaWarmupOf: config", config);
  expectNumber("lambdaWarmupOf: steps", steps);
  return lambdaWarmup ?? Math.min(MOST_STEPS, Math.floor(steps / 3));
}
