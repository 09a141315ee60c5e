import { hint, MODEL_NAMES, type ModelName } from "../config/index.ts";
import { BatchCamError } from "../errors.ts";
import type { Model } from "./model.ts";
import { SimpleCNN, type SimpleCnnOptions } from "./simple-cnn.ts";

export { mapSize, Model, type TappedForward } from "./model.ts";
export { SimpleCNN, type SimpleCnnOptions } from "./simple-cnn.ts";

/** What a model may be told; one that an architecture has no use for is refused by its own constructor's type. */
export type ModelOptions = SimpleCnnOptions;

const MODELS = {
  "simple-cnn": (options: ModelOptions) => new SimpleCNN(options),
} satisfies Record<ModelName, (options: ModelOptions) => Model>;

/**
 * A new model by name, initialised by the engine's generator: seed it with `manualSeed`.
 *
 * @throws E_CONFIG for an unknown name, with the nearest, or options that leave no map
 */
export function createModel(name: ModelName | (string & {}), options: ModelOptions = {}): Model {
  if (!Object.hasOwn(MODELS, name)) {
    throw new BatchCamError("E_CONFIG", `createModel: unknown model ${JSON.stringify(name)}${hint(name, MODEL_NAMES)}; known: ${MODEL_NAMES.join(", ")}`);
  }
  return MODELS[name as ModelName](options);
}
