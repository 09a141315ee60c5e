// What the other folders of the project use of this one beside its public names (index.ts). It is not an entry of the package.

export { expectImages, expectLast } from "../tensor/internal.ts";
export { convRelu, isPlain } from "./fused/conv-norm.ts";
export { flatLinear, pooledWeightOf } from "./fused/flat-linear.ts";
export { handleOutputs, inPlaceOf, mayShare, type OutputHandler, observeRuns } from "./interception.ts";
export { describeOutput, logitsOf, SharedOutputs, tapOutput } from "./recorder.ts";
