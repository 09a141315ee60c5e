export { type Evaluation, evaluate, type EvaluateOptions } from "./evaluate.ts";
