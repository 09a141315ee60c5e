import { types } from "node:util";
import { expectFunction, expectMap, wrongArgument } from "../arguments.ts";
import { isGradEnabled, type Tensor } from "../tensor/index.ts";

/** Sees a module's output on its way to the next layer, and says what that layer gets. */
export type Interceptor = (output: Tensor) => Tensor;

interface Interception {
  readonly interceptors: ReadonlyMap<object, Interceptor>;
  readonly outer: Interception | null;
}

let active: Interception | null = null;

/** Runs `fn` with the outputs of some modules passed through functions. Interceptions nest, the inner first; nothing stays. */
export function interceptOutputs<T>(interceptors: ReadonlyMap<object, Interceptor>, fn: () => T): T {
  expectMap("interceptOutputs: interceptors", interceptors, "a Map of modules and functions");
  for (const intercept of interceptors.values()) expectFunction("interceptOutputs: an interceptor", intercept);
  expectFunction("interceptOutputs: fn", fn);
  active = { interceptors, outer: active };
  try {
    return fn();
  } finally {
    active = active.outer;
  }
}

/** Runs `fn` and gathers the outputs of the modules in `wanted`; a module that runs twice gives its last output. */
export function recordOutputs<T, M extends object = object>(
  wanted: ReadonlySet<M>,
  fn: () => T,
): { result: T; outputs: Map<M, Tensor> } {
  if (!types.isSet(wanted)) throw wrongArgument("recordOutputs: wanted", "a Set of modules", wanted);
  expectFunction("recordOutputs: fn", fn);
  const outputs = new Map<M, Tensor>();
  const record = (module: M) => (output: Tensor) => {
    const reported = differentiable(output);
    outputs.set(module, reported);
    return reported;
  };
  const interceptors = new Map(Array.from(wanted, (module) => [module, record(module)]));
  return { result: interceptOutputs(interceptors, fn), outputs };
}

/** Whether somebody looks at a module's output, or changes it, so that it has to exist. */
export function isWatched(module: object): boolean {
  for (let interception = active; interception !== null; interception = interception.outer)
    if (interception.interceptors.has(module)) return true;
  return false;
}

/** Runs a module's forward in its stead; what a profile takes its times by. */
export type RunObserver = (module: object, forward: () => Tensor) => Tensor;

let runObserver: RunObserver | null = null;

/** Runs `fn` with a function around every module's forward. */
export function observeRuns<T>(observer: RunObserver, fn: () => T): T {
  const outer = runObserver;
  runObserver = observer;
  try {
    return fn();
  } finally {
    runObserver = outer;
  }
}

/** Runs a module's forward, or what stands for it in a fused kernel, in sight of the observer. */
export const observed = (module: object, forward: () => Tensor): Tensor =>
  runObserver === null ? forward() : runObserver(module, forward);

/** What `Module.run` passes its output through. */
export function report(module: object, output: Tensor): Tensor {
  let reported = output;
  for (let interception = active; interception !== null; interception = interception.outer) {
    reported = interception.interceptors.get(module)?.(reported) ?? reported;
  }
  return reported;
}

/** A map of frozen layers has no graph; as a leaf of its own, gradients with respect to it exist all the same. */
function differentiable(output: Tensor): Tensor {
  if (output.requiresGrad || !isGradEnabled() || !output.dtype.includes("float")) return output;
  return output.detach().requiresGrad_();
}
