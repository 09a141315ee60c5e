export { accuracy } from "./accuracy.ts";
export { Coherence, type CoherenceSummary, coherence } from "./coherence.ts";
export { deadShare } from "./dead-share.ts";
export { EnergyInMask, type EnergySummary, energyInMask, foregroundMask } from "./energy.ts";
