export type { EpochRecord, MapSamples, SplitRecord, StepEvent, StepMetrics, TrainEvent, TrainResult } from "./events.ts";
export { train, type TrainOptions } from "./loop.ts";
export { type Guidance, objective, type Terms, warmedUp } from "./objective.ts";
export { evaluateSplit, sampleMaps, type SplitEvaluationOptions } from "./validation.ts";
