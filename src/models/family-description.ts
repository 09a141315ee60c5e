import type { z } from "zod";

/**
 * The facts about a model family that flags, help, documentation and the choice of options use. This is plain data, so that
 * `batch-cam --help` need not load the engine; the network itself and the recognition of its weights are in the family's
 * `family.ts`.
 */
export interface FamilyDescription {
  /** The name of the family in help texts. */
  readonly name: string;
  /** The names of its models, smallest first. */
  readonly models: readonly string[];
  /** A description in a few words. */
  readonly summary: string;
  /** The publication that the family comes from. */
  readonly source: string;
  /** The library whose names and shapes its state dict has; null if no library has the model. */
  readonly namesOf: string | null;
  /** The train options that only this family uses, by key. Families with an option of the same name share its field. */
  readonly options: Readonly<Record<string, z.ZodType>>;
  /** Whether the model is built for one image size, which is its option `imageSize`. */
  readonly takesImageSize: boolean;
  /** The options for images that are too small for the usual stem. They are used if the user gives none of `stemOptions`. */
  readonly smallStem: Readonly<Record<string, unknown>>;
  /** The options that choose the stem. */
  readonly stemOptions: readonly string[];
  /** The change to suggest if the model cannot take the data set's images. */
  readonly misfitAdvice: string;
}
