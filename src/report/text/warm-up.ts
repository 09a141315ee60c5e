/** A warm-up that was longer than its run. */
export interface UnfinishedWarmUp {
  /** The number of steps over which the weights rise. */
  warmUp: number;
  /** The share of their full values that the weights reached, 0 to 1. */
  share: number;
}

/**
 * The warm-up of a run that ended before its guidance had reached its full weight. Null for other runs, for runs without guidance, and if
 * the config does not name the warm-up, which then takes at most a third of the run's steps.
 */
export function unfinishedWarmUp(config: Readonly<Record<string, unknown>>, steps: number): UnfinishedWarmUp | null {
  const { lambdaWarmup: warmUp, lambdaPrototype, lambdaBatch, lambdaBaseline, baseline } = config;
  if (typeof warmUp !== "number" || steps >= warmUp) return null;
  const weights = [lambdaPrototype, lambdaBatch, baseline ? lambdaBaseline : 0];
  if (!weights.some((weight) => typeof weight === "number" && weight > 0)) return null;
  return { warmUp, share: steps / warmUp };
}
