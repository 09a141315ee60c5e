import { z } from "zod";
import { FEATURES, type Features } from "./features.ts";
import { checkTogether } from "./train-checks.ts";
import {
  type NamedTrainConfig,
  type ParsedTrainConfig,
  type TrainConfig as Resolved,
  trainFields,
  trainFieldsOf,
} from "./train-fields.ts";

/** The options of `train`. */
export const TrainConfig = z.strictObject(trainFields).superRefine(checkTogether(FEATURES));
export type TrainConfig = Resolved;
export type { NamedTrainConfig, ParsedTrainConfig };

/** The schema of a train config with a different choice of models, data sets, distances ... */
export function trainConfigOf(features: Features): z.ZodObject {
  const fields: Record<string, z.ZodType> = trainFieldsOf(features);
  const check = checkTogether(features);
  return z.strictObject(fields).superRefine((config, context) => check(config as ParsedTrainConfig, context));
}

/**
 * A train config as a caller writes it, with every key optional. The type is generated, so that editors show the description of each
 * key. After a change of the fields run `npm run generate`.
 */
export type { TrainConfigInput } from "./generated/inputs.ts";
