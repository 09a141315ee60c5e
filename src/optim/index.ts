export { Adam, type AdamOptions, AdamW } from "./adam.ts";
export { clipGradNorm, gradNorm, Optimizer, type Update } from "./optimizer.ts";
export type { ParameterGroup, Parameters, Slot } from "./parameter-groups.ts";
export { layersOf, type ParameterGroupsOptions, parameterGroups } from "./parameter-groups.ts";
export {
  constant,
  cosine,
  linearWarmup,
  type OneCycleLrOptions,
  type OneCycleMomentumOptions,
  type OneCycleOptions,
  oneCycle,
  oneCycleMomentum,
  type Schedule,
  sequential,
  type TimmCosineOptions,
  timmCosine,
} from "./schedules.ts";
export { SGD, type SGDOptions } from "./sgd.ts";
export { WeightEma, type WeightEmaOptions } from "./weight-ema.ts";
