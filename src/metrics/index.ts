export { accuracy } from "./accuracy.ts";
export { Coherence, coherence, type CoherenceSummary } from "./coherence.ts";
export { deadShare } from "./dead-share.ts";
export { EnergyInMask, energyInMask, type EnergySummary, foregroundMask } from "./energy.ts";
