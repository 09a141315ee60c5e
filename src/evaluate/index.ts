export { type EvaluateOptions, type Evaluation, evaluate, evaluateSamples } from "./evaluate.ts";
export { type CueSet, evaluateSpurious, type SpuriousOptions, type SpuriousRecord } from "./spurious.ts";
