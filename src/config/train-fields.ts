import type { z } from "zod";
import { augmentationFields, dataFieldsOf, selectionFields } from "./data-fields.ts";
import { FEATURES, type Features } from "./features.ts";
import type { Given } from "./given.ts";
import { guidanceFieldsOf } from "./guidance-fields.ts";
import { modelFieldsOf } from "./model-fields.ts";
import { optimisationFieldsOf } from "./optimisation-fields.ts";
import { runFields } from "./run-fields.ts";

/**
 * The fields of a train config. Types, flags with their help, the keys of files, and checks are all derived from them.
 * Names are camelCase here and in files and `--kebab-case` on the command line. If timm has an option, it has timm's
 * name.
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

/** A checked config, with the defaults that do not depend on other keys. */
export type ParsedTrainConfig = z.output<z.ZodObject<typeof trainFields, z.core.$strict>>;

/** A complete config, which names its model and its data set. */
export type NamedTrainConfig = TrainConfig & Pick<ParsedTrainConfig, "model" | "dataset">;

/** A complete config, which a run uses and stores in `config.json`. `plain` is true exactly when both weights are 0. */
export type TrainConfig = Omit<
  ParsedTrainConfig,
  "model" | "dataset" | "lambdaPrototype" | "experiment" | "mean" | "std"
> & {
  /** "given" if a program gave the model. */
  model: ParsedTrainConfig["model"] | Given;
  /** "given" if a program gave the images. */
  dataset: ParsedTrainConfig["dataset"] | Given;
  lambdaPrototype: number;
  experiment: string;
  /** Numbers separated by commas. */
  mean?: string | undefined;
  std?: string | undefined;
};
