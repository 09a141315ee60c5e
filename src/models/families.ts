import { convNextV2 } from "./convnext-v2/family.ts";
import type { ModelFamily } from "./family.ts";
import { resnet } from "./resnet/family.ts";
import { simpleCnn } from "./simple-cnn/family.ts";

/** Every model family, in the order of `MODEL_FAMILIES`. A new family needs a line here and a line in `description.ts`. */
const FAMILY_LIST = [simpleCnn, resnet, convNextV2] as const;

export const FAMILIES: readonly ModelFamily[] = FAMILY_LIST as readonly ModelFamily[];

type OptionsOf<Family> = Family extends ModelFamily<infer Options> ? Options : never;
/** Converts the type `A | B` to `A & B`. */
type Together<Union> = (Union extends unknown ? (one: Union) => void : never) extends (all: infer All) => void
  ? All
  : never;

/** The options of a model. An option that its family does not have is refused. */
export type ModelOptions = Together<OptionsOf<(typeof FAMILY_LIST)[number]>>;

/** The family that has a model of this name; undefined for an unknown name. */
export function familyOf(name: string, families: readonly ModelFamily[] = FAMILIES): ModelFamily | undefined {
  return families.find(({ models }) => models.includes(name));
}

/** The options that a model needs for images whose smaller side is `side`. `given` are the options that the user chose. */
export function optionsForImages(
  name: string,
  side: number,
  { given = {}, families = FAMILIES }: { given?: object; families?: readonly ModelFamily[] } = {},
): ModelOptions {
  const family = familyOf(name, families);
  if (family === undefined) return {};
  const chosen = family.stemOptions.some(
    (option) => (given as Readonly<Record<string, unknown>>)[option] !== undefined,
  );
  return {
    ...(family.takesImageSize ? { imageSize: side } : {}),
    ...(chosen || side >= SMALL_SIDE ? {} : family.smallStem),
  };
}

/** For images of fewer pixels, the stems made for 224x224 give maps that are too small to use. */
const SMALL_SIDE = 64;
