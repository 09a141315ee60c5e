import { z } from "zod";
import { count, group } from "./fields.ts";
import { trainFields } from "./train-fields.ts";

const sweep = group("Sweep", {
  lrFrom: z.number().positive().default(1e-6).describe("learning rate of the first step"),
  lrTo: z.number().positive().default(1).describe("learning rate of the last step"),
  lrSteps: count()
    .min(20)
    .default(100)
    .describe("number of steps; the rate rises by a constant factor from step to step"),
  json: z.boolean().default(false).describe("print the result as JSON"),
});

/**
 * Train options that a sweep does not have, because it sets them itself or does not need them: it keeps no run and
 * evaluates nothing.
 */
const NOT_SWEPT = [
  ...(["lr", "sched", "warmupSteps", "minLr", "lambdaWarmup", "guideEvery"] as const),
  ...(["epochs", "maxSteps", "maxSeconds", "patience"] as const),
  ...(["resume", "acceptNewData", "overwrite", "output", "experiment", "fastDevRun", "deterministic"] as const),
  ...(["checkpointEvery", "checkpointSeconds", "keepEpochs", "logEvery", "valInterval", "lossBalanceEvery"] as const),
  ...(["profile", "profileSteps", "figures", "tensorboard", "limitVal", "limitTest"] as const),
  ...(["modelEma", "modelEmaDecay", "modelEmaWarmup"] as const),
] satisfies (keyof typeof trainFields)[];
const trained = without(trainFields, NOT_SWEPT);

/** The options of `batch-cam find-lr`: those of the sweep, and the train options that apply. */
export const FindLrConfig = z.strictObject({ ...sweep, ...trained }).superRefine(({ lrFrom, lrTo }, context) => {
  if (lrTo <= lrFrom) context.addIssue({ code: "custom", path: ["lrTo"], message: `above lrFrom (${lrFrom})` });
});
function without<S extends object, K extends keyof S>(shape: S, keys: readonly K[]): Omit<S, K> {
  const left = Object.entries(shape).filter(([key]) => !(keys as readonly PropertyKey[]).includes(key));
  return Object.fromEntries(left) as Omit<S, K>;
}

export type FindLrConfigInput = z.input<typeof FindLrConfig>;
export type FindLrConfig = z.output<typeof FindLrConfig>;
/** Keys of a train config file that a sweep ignores. */
export const UNUSED_KEYS: readonly string[] = Object.keys(trainFields).filter((key) => !(key in trained));
export const SWEEP_KEYS = Object.keys(sweep) as (keyof typeof sweep)[];
