// What the other folders of the project use of this one beside its public names (index.ts). It is not an entry of the package.
export { convRelu, isPlain } from "./fused/conv-norm.ts";
export { flatLinear, pooledWeightOf } from "./fused/flat-linear.ts";
export { expectImages, expectLast } from "./layers/checks.ts";
export { describeOutput, logitsOf } from "./logits.ts";
export { handleOutputs, inPlaceOf, type OutputHandler, observeRuns, tapOutput } from "./recorder.ts";
export { mayShare, SharedOutputs } from "./shared-outputs.ts";
