export type {
  EpochRecord,
  MapSamples,
  ProfileEvent,
  SplitRecord,
  StepEvent,
  StepMetrics,
  TrainEvent,
  TrainResult,
} from "./events.ts";
export { type TrainOptions, train } from "./loop.ts";
export { type Guidance, objective, type Terms, warmedUp } from "./objective.ts";
export { evaluateSplit, type SplitEvaluationOptions, sampleMaps } from "./validation.ts";
