import type { Tensor } from "../tensor/index.ts";
import type { FamilyDescription } from "./family-description.ts";
import type { Model } from "./model.ts";

/** Names and shapes of weights, as a family looks at them to recognise its own. */
export interface WeightsView {
  readonly weights: ReadonlyMap<string, Tensor>;
  /** Whether any name matches. */
  has(pattern: RegExp): boolean;
  /** Shape of `<layer>.weight`; empty if the layer has no weight. */
  shapeOf(layer: string): readonly number[];
  /** How many different first groups the pattern finds in the names: the blocks of a stage. */
  count(pattern: RegExp): number;
}

/**
 * A family's answer about weights: the model and options that they fit, or a description of a model that this project lacks.
 */
export type Recognition<Options extends object = object> =
  | { readonly name: string; readonly options: Options & { numClasses?: number } }
  | { readonly looksLike: string };

/** How another library names the layers of a family of models. */
export interface Dialect {
  /** The other library's network, as a note names it. */
  readonly of: string;
  /** The library whose names come out. */
  readonly as: string;
  /** A name that no other code has. */
  readonly sign: RegExp;
  /** The prefix of a whole network's names there, before the names of the rules. */
  readonly prefix?: RegExp;
  readonly rules: readonly (readonly [RegExp, (...groups: string[]) => string])[];
}

/** A family of models: its description, how its models are made, and how weights made for it are recognised. */
export interface ModelFamily<Options extends object = object> extends FamilyDescription {
  /** A new model, initialised by the engine's generator. Refuses options that the family lacks. */
  create(name: string, options: Options): Model;
  /** The model that weights were made for; null if they are of another family. */
  recognise(view: WeightsView): Recognition<Options> | null;
  /** A name that the weights of every model of the family have, and those of no other family. */
  readonly sign: RegExp;
  /** Paths of the linear layer that gives the logits. */
  readonly heads: readonly string[];
  /** The models as small as they can be, for their parameters' names alone. */
  sketches(): Iterable<readonly [label: string, model: Model]>;
  /** How other libraries name its layers. */
  readonly dialects: readonly Dialect[];
}

/** A view of weights for `recognise`. */
export function viewOf(weights: ReadonlyMap<string, Tensor>): WeightsView {
  const names = [...weights.keys()];
  return {
    weights,
    has: (pattern) => names.some((name) => pattern.test(name)),
    shapeOf: (layer) => weights.get(`${layer}.weight`)?.sizes ?? [],
    count: (pattern) => new Set(names.flatMap((name) => pattern.exec(name)?.[1] ?? [])).size,
  };
}

/** The number of classes by the classifier's shape; left out if the weights have no classifier. */
export function classesOf({ shapeOf }: WeightsView, classifier: string): { numClasses?: number } {
  const [numClasses] = shapeOf(classifier);
  return numClasses === undefined ? {} : { numClasses };
}
