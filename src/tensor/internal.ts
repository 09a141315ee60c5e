// Names that other folders of the project use, in addition to the public ones (index.ts). This is not an entry of the package.

export {
  type CallArgument,
  type FailureKind,
  failureKind,
  findOperator,
  type OperatorSchema,
  type SchemaArgument,
} from "../engine/internal.ts";
export {
  autocastDtype,
  copyingSaved,
  explained,
  inPlaceCalls,
  isNoGradView,
  isOverwritten,
  isUnused,
  nameTap,
  overwrittenOperator,
  setGradEnabled,
  tapName,
  upcastHalf,
  versionOf,
} from "./autograd.ts";
export { exchangeTensors, expectTensor, handleOf, isTensor } from "./core.ts";
export { DTYPES } from "./dtype.ts";
export {
  expectClassCount,
  expectCounts,
  expectImages,
  expectInput,
  expectLast,
  expectShapes,
  ImagesTooSmall,
  type Labels,
  readLabels,
} from "./expect.ts";
export { affineGrid, eigh, gridSample, solve } from "./functions.ts";
export {
  augmentImages,
  batchNormAct,
  type ConvNextMlpWeights,
  camMaps,
  convNextMlp,
  convolution,
  convRelu,
  type DistanceKernel,
  depthwiseConv,
  flatLinear,
  fusedConv,
  fusedConvTakesBfloat16,
  fusedDtype,
  gatherImages,
  hasConvNextMlp,
  hasFusedConv,
  hasWinogradConv,
  type ImageSource,
  layerNormOf,
  mapDistance,
  packConvWeight,
  setFusedInference,
  setFusedTraining,
  ssimOf,
  wantsFused,
  winogradConv,
} from "./fused-ops.ts";
export {
  asStrided,
  clone,
  rawForeachMulInPlaceScalar,
  rawFusedAdamInPlace,
  rawFusedAdamwInPlace,
  rawFusedSgdInPlace,
} from "./generated/aten.ts";
export {
  type BiasedOutput,
  channelsLast,
  crossEntropyLoss,
  observeBiases,
  observesBiases,
  pairOf,
  reportBias,
} from "./layers.ts";
export { type CallValue, CODES, callOperator, OperatorCall } from "./operator-call.ts";
export { OwnGenerator } from "./random.ts";
export {
  type EventKind,
  phase,
  type RecordedEvent,
  type Recording,
  recordStep,
  span,
  startRecording,
  stopRecording,
} from "./recording.ts";
export { isOutOfMemory, withMemoryLimit } from "./runtime.ts";
export { withGuidedRelu } from "./tensor.ts";
export { derivedTensors, forgetDerived, TensorCache } from "./tensor-cache.ts";
