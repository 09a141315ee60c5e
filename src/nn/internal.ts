// Names that other folders of the project use, in addition to the public ones (index.ts). This is not an entry of the package.

export { expectImages, expectLast } from "../tensor/internal.ts";
export { convRelu, isPlain } from "./fused/conv-norm.ts";
export { flatLinear, pooledWeightOf } from "./fused/flat-linear.ts";
export { handleOutputs, inPlaceOf, mayShare, type OutputHandler, observeRuns } from "./interception.ts";
export { describeOutput, logitsOf, SharedOutputs, tapOutput } from "./recorder.ts";
