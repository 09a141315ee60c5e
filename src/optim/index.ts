export { Adam, type AdamOptions, AdamW } from "./adam.ts";
export { clipGradNorm, gradNorm } from "./clip.ts";
export { Optimizer } from "./optimizer.ts";
export type { ParameterGroup, Parameters } from "./parameters.ts";
export {
  constant,
  cosine,
  linearWarmup,
  oneCycle,
  type OneCycleLrOptions,
  oneCycleMomentum,
  type OneCycleMomentumOptions,
  type Schedule,
  sequential,
  timmCosine,
  type TimmCosineOptions,
} from "./schedules.ts";
export { SGD, type SGDOptions } from "./sgd.ts";
