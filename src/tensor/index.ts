export { autocast, type AutocastOptions, backward, enableGrad, grad, type GradOptions, isGradEnabled, noGrad } from "./autograd.ts";
export { type Capabilities, capabilities } from "./capabilities.ts";
export { cat, oneHot, stack, where } from "./combine.ts";
export { arange, empty, eye, full, ones, onesLike, rand, randn, randperm, tensor, type TensorOptions, zeros, zerosLike } from "./create.ts";
export type { DType, TypedArray } from "./dtype.ts";
export { interpolate, type InterpolateOptions } from "./interpolate.ts";
export {
  adaptiveAvgPool2d,
  avgPool2d,
  batchNorm,
  type BatchNormOptions,
  conv2d,
  type ConvOptions,
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
export type { NestedArray } from "./nested.ts";
export { getRngState, manualSeed, setRngState } from "./random.ts";
export { type Dims, type Operand, Tensor } from "./tensor.ts";
export { loadSafetensors, readSafetensorsMetadata, saveSafetensors } from "./safetensors.ts";
export { getNumThreads, setNumThreads } from "./threads.ts";
export { keep, memory, type MemoryStatistics, resetPeakMemory, tidy } from "./tidy.ts";
