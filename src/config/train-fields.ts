import type { z } from "zod";
import { augmentationFields, dataFieldsOf, selectionFields } from "./data-fields.ts";
import { FEATURES, type Features } from "./features.ts";
import { guidanceFieldsOf } from "./guidance-fields.ts";
import { modelFieldsOf } from "./model-fields.ts";
import { optimisationFieldsOf } from "./optimisation-fields.ts";
import { runFields } from "./run-fields.ts";

/**
 * The fields of a train config: the one source of the types, the flags and their help, the files' keys and the checks. Names are camelCase
 * here and in files, `--kebab-case` on the command line, and spelt as in timm if timm has the option.
 */
export const trainFieldsOf = <const F extends Features>(features: F) => ({
  ...modelFieldsOf<F["models"]>(features.models),
  ...dataFieldsOf<F["datasets"]>(features.datasets),
  ...selectionFields,
  ...augmentationFields,
  ...optimisationFieldsOf<F["optimizers"], F["schedules"]>(features.optimizers, features.schedules),
  ...guidanceFieldsOf<F["distances"], F["baselines"]>(features.distances, features.baselines),
  ...runFields,
});

export const trainFields = trainFieldsOf(FEATURES);

/** A checked config, with the defaults that need no other key. */
export type ParsedTrainConfig = z.output<z.ZodObject<typeof trainFields, z.core.$strict>>;

/** What a run uses, and `config.json` keeps. `plain` is true exactly when both weights are 0. */
export type TrainConfig = Omit<ParsedTrainConfig, "lambdaPrototype" | "experiment" | "mean" | "std"> & {
  lambdaPrototype: number;
  experiment: string;
  /** Numbers with commas between them. */
  mean?: string | undefined;
  std?: string | undefined;
};
