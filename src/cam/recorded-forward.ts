import { BatchCamError } from "../errors.ts";
import type { Module } from "../nn/index.ts";
import {
  handleOutputs,
  logitsOf,
  mayShare,
  type OutputHandler,
  observeRuns,
  SharedOutputs,
  tapOutput,
} from "../nn/internal.ts";
import { enableGrad, noGrad, type Tensor, tidy } from "../tensor/index.ts";
import {
  copyingSaved,
  inPlaceCalls,
  isNoGradView,
  isOverwritten,
  isTensor,
  setGradEnabled,
  upcastHalf,
} from "../tensor/internal.ts";

/**
 * Converts a layer's output to maps (B, K, h, w), for layers whose outputs are channels-last, or tokens with a class
 * token.
 */
export type ReshapeTransform = (output: Tensor) => Tensor;

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

export interface PassOptions {
  layers: readonly (readonly [path: string, module: Module])[];
  /**
   * The part of the pass that autograd records: nothing; only the layers after the target layers, whose outputs become leaves (the layers
   * before the first of them then cost no more than at inference); or the whole pass, so that gradients reach the parameters.
   */
  record: "nothing" | "behind the layers" | "everything";
  reshapeTransform?: ReshapeTransform | undefined;
}

interface TappedPass {
  readonly logits: Tensor;
  readonly taps: ReadonlyMap<Module, Tensor>;
  readonly runs: ReadonlyMap<Module, number>;
  /**
   * The layers whose output may share memory with their input, and was changed in place afterwards through any tensor.
   */
  readonly shared: ReadonlySet<Module>;
}

/**
 * @param joined layers that return their input or a view of it; everything that reads that memory then reads the tap
 */
export function tappedForward(
  model: Module,
  x: Tensor,
  { layers, record, joined }: PassOptions & { joined: ReadonlySet<Module> },
): TappedPass {
  const taps = new Map<Module, Tensor>();
  const runs = new Map<Module, number>();
  const watch = new SharedOutputs<Module>();
  const intercept = (path: string, module: Module): OutputHandler => {
    const name = `explain: layer ${path}`;
    return (output, origin) => {
      // Recording begins at the first layer, and lasts until the noGrad around the pass ends.
      if (record === "behind the layers") setGradEnabled(true);
      const joins = mayShare(origin) && joined.has(module);
      const { tap, next } = tapOutput(output, {
        origin: joins ? "rewritten" : origin,
        graph: record !== "nothing",
        name,
      });
      if (mayShare(origin)) watch.add(module, output, next);
      taps.set(module, tap);
      runs.set(module, (runs.get(module) ?? 0) + 1);
      return next;
    };
  };
  const handlers = new Map(layers.map(([path, module]) => [module, intercept(path, module)]));
  const forward = () => {
    runs.clear();
    return handleOutputs(handlers, () => logitsFor(model, x));
  };
  let logits = record === "everything" ? enableGrad(forward) : fromFirstLayer(forward);
  // A layer that runs inside the model's own noGrad, such as a layer of a frozen backbone, cannot turn on recording for
  // the layers after it.
  if (record === "behind the layers" && !logits.requiresGrad) logits = enableGrad(forward);
  return { logits, taps, runs, shared: watch.changed() };
}

/**
 * Runs a pass that begins to record at its first target layer. If the model writes to a view that was made earlier, the pass runs again
 * and records from the start.
 */
function fromFirstLayer(forward: () => Tensor): Tensor {
  try {
    return noGrad(forward);
  } catch (error) {
    if (!isNoGradView(error)) throw error;
    return enableGrad(forward);
  }
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
