// Names that other folders of the project use, in addition to the public ones (index.ts). This is not an entry of the package.

export { expectImages, expectLast } from "../tensor/internal.ts";
export { BorrowedLayers, isPlain } from "./fused/conv-norm.ts";
export { convRelu } from "./fused/conv-relu.ts";
export { flatLinear, pooledWeightOf } from "./fused/flat-linear.ts";
export { withSecondDerivatives } from "./fused/second-derivatives.ts";
export {
  emitOutput,
  handleOutputs,
  inPlaceOf,
  isWatched,
  isWatching,
  mayShare,
  type OutputHandler,
  type OutputOrigin,
  observed,
  observeRuns,
} from "./interception.ts";
export { dropped } from "./layers/dropout.ts";
export { PARTS } from "./module.ts";
export { mark } from "./parameter.ts";
export { describeOutput, logitsOf, SharedOutputs, tapOutput } from "./recorder.ts";
export { withoutStrictAdvice } from "./state-dict.ts";
