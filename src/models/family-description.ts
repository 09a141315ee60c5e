import type { z } from "zod";

/**
 * The facts about a model family that flags, help, documentation and the choice of options use. This is plain data, so that
 * `batch-cam --help` need not load the engine; the network itself and the recognition of its weights are in the family's
 * `family.ts`.
 */
export interface FamilyDescription {
  /** The family, as help texts call it. */
  readonly name: string;
  /** Names of its models, smallest first. */
  readonly models: readonly string[];
  /** A description in a few words. */
  readonly summary: string;
  /** Where it was published. */
  readonly source: string;
  /** The library whose names and shapes its state dict has; null if they are its own. */
  readonly namesOf: string | null;
  /** Train options of the family alone, by key. Two families with an option of one name share its field. */
  readonly options: Readonly<Record<string, z.ZodType>>;
  /** Whether the model is made for one image size, which it takes as `imageSize`. */
  readonly takesImageSize: boolean;
  /** Options for images that are too small for the usual stem; given if none of `stemOptions` is. */
  readonly smallStem: Readonly<Record<string, unknown>>;
  /** The options that choose the stem. */
  readonly stemOptions: readonly string[];
  /** The change to suggest if the model cannot take the data set's images. */
  readonly misfitAdvice: string;
}
