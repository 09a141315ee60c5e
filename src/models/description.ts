import { convNextV2Description } from "./convnext-v2/description.ts";
import type { FamilyDescription } from "./family-description.ts";
import { resnetDescription } from "./resnet/description.ts";
import { simpleCnnDescription } from "./simple-cnn/description.ts";

/** Every model family, in the order of help and tables. A new family needs a line here and a line in `families.ts`. */
export const MODEL_FAMILIES = [
  simpleCnnDescription,
  resnetDescription,
  convNextV2Description,
] as const satisfies readonly FamilyDescription[];

export type { FamilyDescription };

export type ModelName = (typeof MODEL_FAMILIES)[number]["models"][number];
export const MODEL_NAMES = MODEL_FAMILIES.flatMap(({ models }): readonly ModelName[] => models);
