export type { Handle, KernelLevel, Scalar } from "../engine/internal.ts";
export {
  type AutocastOptions,
  autocast,
  backward,
  enableGrad,
  type Gradients,
  type GradOptions,
  grad,
  isGradEnabled,
  noGrad,
} from "./autograd.ts";
export { keep, type TensorCore, tidy } from "./core.ts";
export {
  arange,
  empty,
  eye,
  full,
  ones,
  onesLike,
  rand,
  randn,
  randperm,
  type TensorOptions,
  tensor,
  zeros,
  zerosLike,
} from "./create.ts";
export type { DType, TypedArray } from "./dtype.ts";
export { cat, oneHot, stack, where } from "./functions.ts";
export { type InterpolateOptions, interpolate } from "./interpolate.ts";
export {
  adaptiveAvgPool2d,
  avgPool2d,
  type BatchNormOptions,
  batchNorm,
  type ConvOptions,
  type CrossEntropyOptions,
  conv2d,
  gelu,
  layerNorm,
  leakyRelu,
  linear,
  logSoftmax,
  maxPool2d,
  type Pair,
  type PoolOptions,
  relu,
  sigmoid,
  silu,
  softmax,
  tanh,
} from "./layers.ts";
export type { NestedArray } from "./print.ts";
export { getRngState, manualSeed, setRngState } from "./random.ts";
export {
  type Capabilities,
  capabilities,
  emptyCache,
  getNumThreads,
  type MemoryStatistics,
  memory,
  resetPeakMemory,
  setNumThreads,
} from "./runtime.ts";
export { type Dims, type Operand, type ReduceOptions, Tensor } from "./tensor.ts";
