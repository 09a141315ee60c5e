export type { GivenSplits } from "./configured-data.ts";
export type {
  BalanceEvent,
  EpochRecord,
  MapSamples,
  ProfileEvent,
  SplitRecord,
  StepEvent,
  StepMetrics,
  TermBalance,
  TrainEvent,
  TrainResult,
} from "./events.ts";
export {
  type FindLearningRateOptions,
  type FoundRate,
  findLearningRate,
  type RatePoint,
} from "./find-learning-rate.ts";
export { type TrainOptions, train } from "./loop.ts";
export { type Guidance, objective, type Terms, warmedUp } from "./objective.ts";
export { evaluateSplit, type SplitEvaluationOptions, sampleMaps } from "./validation.ts";
