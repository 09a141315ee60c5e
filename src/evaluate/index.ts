export { type EvaluateOptions, type Evaluation, evaluate, evaluateSamples } from "./evaluate.ts";
