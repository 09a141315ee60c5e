import { BatchCamError } from "../errors.ts";
import { MODEL_FAMILIES } from "../models/description.ts";
import { inWords } from "../registry.ts";
import { GIVEN } from "./given.ts";
import type { TrainConfig } from "./train.ts";

/**
 * Throws E_CONFIG for a config with an option of another model family. The model would refuse it too, but with names
 * other than those of the config.
 */
export function expectModelOptions(config: TrainConfig): void {
  const values = config as Readonly<Record<string, unknown>>;
  const own = Object.keys(MODEL_FAMILIES.find(({ models }) => isOf(config.model, models))?.options ?? {});
  for (const { models, options } of MODEL_FAMILIES) {
    const unused = Object.keys(options).find((key) => values[key] !== undefined && !own.includes(key));
    if (unused === undefined) continue;
    const why = config.model === GIVEN ? "the model was given" : `${config.model} does not have it`;
    const message = `${unused} is for ${inWords(models)}, and ${why}: leave it out`;
    throw new BatchCamError("E_CONFIG", `train: ${message}`, { options: [unused] });
  }
}

const isOf = (name: string, models: readonly string[]): boolean => models.includes(name);
