export { accuracy } from "./accuracy.ts";
export { Coherence, type CoherenceSummary, coherence } from "./coherence.ts";
export { type Confidence, confidence } from "./confidence.ts";
export { pearson, spearman } from "./correlation.ts";
export { EnergyInMask, type EnergySummary, energyInMask, foregroundMask } from "./energy.ts";
export { type ImputationOptions, imputeLinearly } from "./imputation.ts";
export { maskIou, type PointingOptions, pointingGame, relevanceRankAccuracy } from "./localisation.ts";
export { type DefinedMean, deadShare, definedMean } from "./maps.ts";
export {
  type Baseline,
  type CurveOptions,
  deletionCurve,
  insertionCurve,
  type PerturbationCurve,
} from "./perturbation-curve.ts";
export type { Predict, PredictOptions } from "./predict.ts";
export {
  parameterRandomisation,
  type Randomisable,
  type RandomisationOptions,
  type RandomisedLayer,
  type Reinitialise,
} from "./randomisation.ts";
export { type Road, type RoadOptions, road } from "./road.ts";
export { type Explain, maxSensitivity, type SensitivityOptions } from "./sensitivity.ts";
export { sparseness } from "./sparseness.ts";
export { WrongReason, type WrongReasonSummary, wrongReason } from "./wrong-reason.ts";
