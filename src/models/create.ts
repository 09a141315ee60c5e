import { describeValue } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { registryOf } from "../registry.ts";
import type { ModelName } from "./description.ts";
import { FAMILIES, type ModelOptions } from "./families.ts";
import type { ModelFamily } from "./family.ts";
import type { Model } from "./model.ts";

/**
 * Makes a new model by name. Its initial weights are drawn from the engine's random generator, which `manualSeed`
 * seeds.
 *
 * @throws E_CONFIG for an unknown name or option, with the nearest known one, or for values that do not give a map
 */
export function createModel(name: ModelName | (string & {}), options: ModelOptions = {}): Model {
  return createModelOf(FAMILIES, name, options);
}

/** `createModel` with a list of families. */
export function createModelOf(families: readonly ModelFamily[], name: string, options: object = {}): Model {
  const models = registryOf(families.flatMap((family) => family.models.map((model) => ({ name: model, family }))));
  const found = models.find(name);
  if (found !== undefined) return found.family.create(name, options);
  throw new BatchCamError(
    "E_CONFIG",
    `createModel: unknown model ${describeValue(name)}${models.hint(name)}; known: ${models.names.join(", ")}`,
  );
}
