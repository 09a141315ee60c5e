export type { GivenSplits } from "./data/given-splits.ts";
export type { ExtraLosses, LossBatch, LossOption, LossTerm } from "./loop/extra-losses.ts";
export {
  type FindLearningRateOptions,
  type FoundRate,
  findLearningRate,
  type RatePoint,
} from "./loop/find-learning-rate.ts";
export { type TrainOptions, train } from "./loop/loop.ts";
export type { Mixed } from "./loop/mixup.ts";
export { type Guidance, type ObjectiveOptions, objective, type Terms, warmedUp } from "./loop/objective.ts";
export { evaluateSplit, type SplitEvaluationOptions, sampleMaps } from "./loop/validation.ts";
export type {
  BalanceEvent,
  EpochRecord,
  ExtraMetrics,
  JudgedRun,
  MapSamples,
  PrecisionTiming,
  ProfileEvent,
  Rejudged,
  SplitRecord,
  StartEvent,
  StepEvent,
  StepMetrics,
  TermBalance,
  TrainEvent,
  TrainResult,
} from "./run/events.ts";
