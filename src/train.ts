// What `batch-cam/train` offers: names, nothing else.
export { type Evaluation, evaluate, type EvaluateOptions } from "./evaluate/index.ts";
export * from "./train/index.ts";
