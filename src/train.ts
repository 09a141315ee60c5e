// What `batch-cam/train` offers: names, nothing else.
export { type EvaluateOptions, type Evaluation, evaluate, evaluateSamples } from "./evaluate/index.ts";
export * from "./train/index.ts";
