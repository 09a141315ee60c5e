// Names that other folders of the project use, in addition to the public ones (index.ts). This is not an entry of the package.
export { type BaselineInput, baselineLoss, baselineNeeds } from "./baselines.ts";
export { distances } from "./distance.ts";
