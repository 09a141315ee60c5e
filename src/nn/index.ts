export { setFusedInference, setFusedTraining } from "../tensor/internal.ts";
export { type ConvNormOptions, convNorm } from "./fused/conv-norm.ts";
export { type Interceptor, interceptOutputs } from "./interception.ts";
export { Dropout, DropPath } from "./layers/dropout.ts";
export { GELU, Linear, ReLU } from "./layers/linear.ts";
export {
  BatchNorm2d,
  type BatchNormModuleOptions,
  GRN,
  type GRNOptions,
  LayerNorm,
  LayerNorm2d,
} from "./layers/norm.ts";
export { Flatten, Identity, Sequential } from "./layers/sequential.ts";
export {
  AdaptiveAvgPool2d,
  AvgPool2d,
  Conv2d,
  type Conv2dOptions,
  GlobalAvgPool2d,
  MaxPool2d,
  type Pool2d,
} from "./layers/spatial.ts";
export { inEvaluation, Module, type TappedForward } from "./module.ts";
export {
  biasUniform_,
  buffer,
  type FanMode,
  kaimingNormal_,
  kaimingUniform_,
  parameter,
  type TruncatedNormalOptions,
  truncatedNormal_,
} from "./parameter.ts";
export { type RecordedOutputs, recordOutputs } from "./recorder.ts";
export type { LoadReport } from "./state-dict.ts";
