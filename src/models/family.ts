import type { Tensor } from "../tensor/index.ts";
import type { FamilyDescription } from "./family-description.ts";
import type { Model } from "./model.ts";

/** The names and shapes of weights, by which a family recognises weights that were made for it. */
export interface WeightsView {
  readonly weights: ReadonlyMap<string, Tensor>;
  /** Whether any name matches the pattern. */
  has(pattern: RegExp): boolean;
  /** The shape of `<layer>.weight`; empty if the layer has no weight. */
  shapeOf(layer: string): readonly number[];
  /** The number of different texts that the pattern's first group matches in the names, such as the numbers of a stage's blocks. */
  count(pattern: RegExp): number;
}

/** A family's answer about weights: the model and options that they fit, or a description of a model that this project does not have. */
export type Recognition<Options extends object = object> =
  | { readonly name: string; readonly options: Options & { numClasses?: number } }
  | { readonly looksLike: string };

/** The names that another library gives to the layers of a family. */
export interface Dialect {
  /** The name of the other library's network in messages. */
  readonly of: string;
  /** The library whose names result from the translation. */
  readonly as: string;
  /** A pattern of a name that only this library uses. */
  readonly sign: RegExp;
  /** The prefix of all names in that library, before the names in the rules. */
  readonly prefix?: RegExp;
  readonly rules: readonly (readonly [RegExp, (...groups: string[]) => string])[];
}

/** A family of models: its description, and the functions that make its models and recognise weights that were made for it. */
export interface ModelFamily<Options extends object = object> extends FamilyDescription {
  /** Makes a new model, with initial weights from the engine's random generator. Refuses options that the family does not have. */
  create(name: string, options: Options): Model;
  /** The model that weights were made for; null if they are of another family. */
  recognise(view: WeightsView): Recognition<Options> | null;
  /** A name that occurs in the weights of every model of the family, and of no other family. */
  readonly sign: RegExp;
  /** The paths that the linear layer of the logits may have. */
  readonly heads: readonly string[];
  /** Makes the smallest possible models of the family, of which only the parameters' names are used. */
  sketches(): Iterable<readonly [label: string, model: Model]>;
  /** The names that other libraries give to its layers. */
  readonly dialects: readonly Dialect[];
}

/** Makes the view of weights that `recognise` needs. */
export function viewOf(weights: ReadonlyMap<string, Tensor>): WeightsView {
  const names = [...weights.keys()];
  return {
    weights,
    has: (pattern) => names.some((name) => pattern.test(name)),
    shapeOf: (layer) => weights.get(`${layer}.weight`)?.sizes ?? [],
    count: (pattern) => new Set(names.flatMap((name) => pattern.exec(name)?.[1] ?? [])).size,
  };
}

/** The number of classes, from the classifier's shape; left out if the weights have no classifier. */
export function classesOf({ shapeOf }: WeightsView, classifier: string): { numClasses?: number } {
  const [numClasses] = shapeOf(classifier);
  return numClasses === undefined ? {} : { numClasses };
}
