import { hint, MODEL_NAMES, type ModelName } from "../config/index.ts";
import { BatchCamError } from "../errors.ts";
import { expectKnownOptions } from "./checks.ts";
import type { Model } from "./model.ts";
import { SIMPLE_CNN_OPTIONS, SimpleCNN, type SimpleCnnOptions } from "./simple-cnn.ts";

export { Model, mapSize, type TappedForward } from "./model.ts";
export { SimpleCNN, type SimpleCnnOptions } from "./simple-cnn.ts";

/** What a model may be told; one that the architecture does not have is refused. */
export type ModelOptions = SimpleCnnOptions;

interface Entry {
  readonly options: readonly string[];
  readonly create: (options: ModelOptions) => Model;
}

const MODELS = {
  "simple-cnn": { options: SIMPLE_CNN_OPTIONS, create: (options) => new SimpleCNN(options) },
} satisfies Record<ModelName, Entry>;

/**
 * A new model by name, initialised by the engine's generator: seed it with `manualSeed`.
 *
 * @throws E_CONFIG for an unknown name or option, with the nearest, or for values that leave no map
 */
export function createModel(name: ModelName | (string & {}), options: ModelOptions = {}): Model {
  if (!Object.hasOwn(MODELS, name)) {
    throw new BatchCamError(
      "E_CONFIG",
      `createModel: unknown model ${JSON.stringify(name)}${hint(name, MODEL_NAMES)}; known: ${MODEL_NAMES.join(", ")}`,
    );
  }
  const { options: known, create }: Entry = MODELS[name as ModelName];
  expectKnownOptions(name, options, known);
  return create(options);
}
