// What the other folders of the project use of this one beside its public names (index.ts). It is not an entry of the package.
export { type BaselineInput, baselineLoss, baselineNeeds } from "./baselines.ts";
