import { expectNumber, objectOf } from "../arguments.ts";
import type { TrainConfig } from "./train-fields.ts";

/** More steps than this were not better in any run that was measured. */
const MOST_STEPS = 150;

/**
 * Steps over which the weights of the guidance rise: those that the config gives, else a third of the run's steps and at
 * most 150, so that a short run is guided too.
 *
 * @param steps that the run takes
 */
export function lambdaWarmupOf(config: Pick<TrainConfig, "lambdaWarmup">, steps: number): number {
  const { lambdaWarmup } = objectOf("lambdaWarmupOf: config", config);
  expectNumber("lambdaWarmupOf: steps", steps);
  return lambdaWarmup ?? Math.min(MOST_STEPS, Math.floor(steps / 3));
}
