export { GELU, ReLU } from "./activation.ts";
export { BatchNorm2d, type BatchNormModuleOptions } from "./batch-norm.ts";
export { type ConvNormOptions, convNorm } from "./conv-norm.ts";
export { Conv2d, type Conv2dOptions } from "./conv2d.ts";
export { DropPath } from "./drop-path.ts";
export { Dropout } from "./dropout.ts";
export { inEvaluation } from "./evaluation.ts";
export { setFusedInference, setFusedTraining } from "./fused.ts";
export { GRN, type GRNOptions } from "./grn.ts";
export {
  biasUniform_,
  kaimingNormal_,
  kaimingUniform_,
  type TruncatedNormalOptions,
  truncatedNormal_,
} from "./init.ts";
export { LayerNorm, LayerNorm2d } from "./layer-norm.ts";
export { Linear } from "./linear.ts";
export { Module, type TappedForward } from "./module.ts";
export { buffer, parameter } from "./parameter.ts";
export { AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d } from "./pooling.ts";
export { type Interceptor, interceptOutputs, recordOutputs } from "./recorder.ts";
export { Flatten, Identity, Sequential } from "./sequential.ts";
export type { LoadReport } from "./state-dict.ts";
