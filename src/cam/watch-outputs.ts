import type { Module } from "../nn/index.ts";
import { handleOutputs, type OutputHandler } from "../nn/recorder.ts";
import { isTensor } from "../tensor/core.ts";
import { noGrad, type Tensor, tidy } from "../tensor/index.ts";

/** Shows every module's output that is one tensor, for the first of the images, in the order in which they run, without a graph. */
export function watchOutputs(model: Module, x: Tensor, watch: (output: Tensor, path: string) => void): void {
  const watching = (path: string): OutputHandler => {
    return (output) => {
      if (isTensor(output)) watch(output, path);
      return output;
    };
  };
  const everywhere = new Map(Array.from(model.namedModules(), ([path, module]) => [module, watching(path)]));
  tidy(() => noGrad(() => handleOutputs(everywhere, () => model.forward(x.narrow(0, 0, 1).clone()))));
}
