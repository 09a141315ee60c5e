export { type EvaluateOptions, type Evaluation, evaluate, evaluateSamples } from "./evaluate/evaluate.ts";
export { type CueSet, evaluateSpurious, type SpuriousOptions, type SpuriousRecord } from "./evaluate/spurious.ts";
export type { RunDataOptions } from "./loaded-model.ts";
