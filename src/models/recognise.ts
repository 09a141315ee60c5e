import { describeValue, expectMap } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import type { Tensor } from "../tensor/index.ts";
import { FAMILIES, type ModelOptions } from "./families.ts";
import { type ModelFamily, type Recognition, viewOf } from "./family.ts";
import { nearestArchitecture } from "./nearest-architecture.ts";

/** The answer of the first family that recognises the weights; null if none does. */
export function recognise(
  weights: ReadonlyMap<string, Tensor>,
  families: readonly ModelFamily[] = FAMILIES,
): Recognition<ModelOptions> | null {
  const view = viewOf(weights);
  for (const family of families) {
    const found = family.recognise(view);
    if (found !== null) return found;
  }
  const wrapped = view.has(/^(?:model\.|module\.|encoder\.)/);
  return wrapped ? { looksLike: "weights with a prefix before every name; remove it" } : null;
}

/**
 * The model that weights were most likely made for, or a description of an architecture that this project does not have; null for unknown
 * weights.
 */
export function likeliestArchitecture(weights: ReadonlyMap<string, Tensor>): string | null {
  const found = recognise(weights);
  if (found === null) return null;
  return "name" in found ? found.name : found.looksLike;
}

/**
 * The model that weights were made for, found by their names and shapes: the arguments of `createModel` for a model that they fit
 * exactly.
 *
 * @throws E_CHECKPOINT for weights that fit no architecture of this project, with what they resemble and the nearest architecture, or for
 * weights without a head, which have no classes
 */
export function describeWeights(weights: ReadonlyMap<string, Tensor>): { name: string; options: ModelOptions } {
  expectMap("describeWeights: weights", weights);
  for (const [parameter, { shape }] of weights) {
    if (!shape.includes(0)) continue;
    const problem = `${parameter} has no values: its shape is [${shape.join(", ")}]`;
    throw new BatchCamError("E_CHECKPOINT", `describeWeights: ${problem}`);
  }
  const found = recognise(weights);
  if (found === null || "looksLike" in found) throw unknownArchitecture(weights, found?.looksLike);
  if (found.options.numClasses !== undefined) return found;
  throw new BatchCamError(
    "E_CHECKPOINT",
    `describeWeights: the weights are those of ${found.name} without a head, so that there are no classes: train one on them first (train with { model: "${found.name}" } and these weights)`,
  );
}

function unknownArchitecture(weights: ReadonlyMap<string, Tensor>, looksLike: string | undefined): BatchCamError {
  const first = [...weights.keys()].slice(0, 3).map(describeValue).join(", ");
  const unknown = `their names belong to no architecture of this project (the first of ${weights.size}: ${first || "none"})`;
  const looks = looksLike === undefined ? unknown : `they look like ${looksLike}`;
  const nearest = nearestArchitecture(weights);
  return new BatchCamError("E_CHECKPOINT", `describeWeights: no model for these weights: ${looks}; ${nearest}`);
}
