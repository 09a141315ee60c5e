// Names that other folders of the project use, in addition to the public ones (index.ts). This is not an entry of the package.
export { shareBehind } from "./cost.ts";
export { createModelOf } from "./create.ts";
export { exportedName, isExportedPath } from "./exported/description.ts";
export { FAMILIES, familyOf, optionsForImages } from "./families.ts";
export { expectModule, traitsOf } from "./model.ts";
export { recognise } from "./recognise.ts";
