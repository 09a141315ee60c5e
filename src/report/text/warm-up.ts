/** A warm-up that was longer than its run. */
export interface UnfinishedWarmUp {
  /** Steps over which the weights rise. */
  warmUp: number;
  /** What the weights reached of their full values, 0 to 1. */
  share: number;
}

/**
 * Where a run ended before its guidance had its whole weight; null where it had, where nothing guided the run, and where the config does
 * not name the warm-up, which is then a third of the run's steps at most.
 */
export function unfinishedWarmUp(config: Readonly<Record<string, unknown>>, steps: number): UnfinishedWarmUp | null {
  const { lambdaWarmup: warmUp, lambdaPrototype, lambdaBatch, lambdaBaseline, baseline } = config;
  if (typeof warmUp !== "number" || steps >= warmUp) return null;
  const weights = [lambdaPrototype, lambdaBatch, baseline ? lambdaBaseline : 0];
  if (!weights.some((weight) => typeof weight === "number" && weight > 0)) return null;
  return { warmUp, share: steps / warmUp };
}
