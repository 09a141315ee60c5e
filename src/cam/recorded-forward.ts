import { BatchCamError } from "../errors.ts";
import type { Module } from "../nn/index.ts";
import { handleOutputs, logitsOf, type OutputHandler, observeRuns } from "../nn/internal.ts";
import { noGrad, type Tensor, tidy } from "../tensor/index.ts";
import { copyingSaved, inPlaceCalls, isOverwritten, isTensor, upcastHalf } from "../tensor/internal.ts";

/**
 * Models that overwrite in place a value that autograd has saved. Their later passes run while autograd keeps copies.
 */
const overwriting = new WeakSet<Module>();

/** The logits of images, float32 or wider. The model gets a copy of them, since it may write to its input. */
export function logitsFor(model: Module, images: Tensor): Tensor {
  return upcastHalf(logitsOf("explain", model, model.forward(images.clone())));
}

/**
 * Runs the part of an explanation that calls a model. If a network works in place, its forward pass may succeed and its backward pass
 * fail, because one operator overwrote a value that the gradient of another one needs. Such a network runs again while autograd copies
 * every value that it saves. The model is remembered, so that its next call makes copies at once; other models have no extra cost.
 *
 * @throws E_CONFIG if the model writes to a tensor that autograd never allows to be overwritten
 */
export function explainingInPlace<T>(model: Module, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!isOverwritten(error)) throw error;
    overwriting.add(model);
    return copyingSaved("explain", run);
  }
}

/**
 * Runs a forward pass that may record a graph. If the graph is returned to the caller, an overwritten value would show only when the
 * caller differentiates the maps. Therefore the graph is recorded with copies if the model writes to any tensor in place.
 */
export function recordedForward<T>(model: Module, createGraph: boolean, forward: () => T): T {
  if (!overwriting.has(model)) {
    const before = inPlaceCalls();
    const result = forward();
    if (!createGraph || inPlaceCalls() === before) return result;
    overwriting.add(model);
  }
  return copyingSaved("explain", () => namingFailures(model, forward));
}

/** Makes an error that names the module in which autograd refuses an in-place operation. */
function namingFailures<T>(model: Module, forward: () => T): T {
  let failed: object | undefined;
  const observer = (module: object, run: () => Tensor): Tensor => {
    try {
      return run();
    } catch (error) {
      failed ??= module; // the innermost module
      throw error;
    }
  };
  try {
    return observeRuns(observer, forward);
  } catch (cause) {
    if (!isOverwritten(cause) || (cause instanceof BatchCamError && cause.code === "E_CONFIG")) throw cause;
    const path = [...model.namedModules()].find(([, module]) => module === failed)?.[0];
    const place = path === undefined ? `the model, a ${model.constructor.name},` : `layer ${path}`;
    const advice = "write the operator without its underscore (mul in place of mul_), or clone() the tensor first";
    throw new BatchCamError(
      "E_CONFIG",
      `explain: ${place} writes in place to a tensor that autograd does not let it overwrite while it records gradients: ${advice}`,
      { cause },
    );
  }
}

/** Runs the first image through the model without a graph, and calls `watch` with the output of every module, in their order. */
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
