// What `batch-cam/train` offers: names, nothing else.
export { type EvaluateOptions, type Evaluation, evaluate } from "./evaluate/index.ts";
export * from "./train/index.ts";
