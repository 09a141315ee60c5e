import { z } from "zod";
import { FEATURES, type Features } from "./features.ts";
import { checkTogether } from "./train-checks.ts";
import { type ParsedTrainConfig, type TrainConfig as Resolved, trainFields, trainFieldsOf } from "./train-fields.ts";

/** The options of `train`. */
export const TrainConfig = z.strictObject(trainFields).superRefine(checkTogether(FEATURES));
export type TrainConfig = Resolved;
export type { ParsedTrainConfig };

/** The schema of a train config with a different choice of models, data sets, distances ... */
export function trainConfigOf(features: Features): z.ZodObject {
  const fields: Record<string, z.ZodType> = trainFieldsOf(features);
  const check = checkTogether(features);
  return z.strictObject(fields).superRefine((config, context) => check(config as ParsedTrainConfig, context));
}

/**
 * What a caller writes: every key optional. Generated, so that editors show what each key means: after a change here, run
 * `npm run build && node scripts/generate-config-types.mjs`.
 */
export type { TrainConfigInput } from "./generated/inputs.ts";
