// What the other folders of the project use of this one beside its public names (index.ts). It is not an entry of the package.
export { createModelOf } from "./create.ts";
export { FAMILIES, familyOf, optionsForImages } from "./families.ts";
export { expectModel } from "./model.ts";
export { recognise } from "./recognise.ts";
