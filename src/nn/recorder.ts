import { types } from "node:util";
import { expectFunction, expectMap, wrongArgument } from "../arguments.ts";
import { exchangeTensors, isTensor } from "../tensor/core.ts";
import { enableGrad, isGradEnabled, type Tensor } from "../tensor/index.ts";

/**
 * Where a module's output comes from: "own" says that nobody else holds its memory; "input" that it is an input of the module, as
 * of `Identity`; "rewritten" that it is one that the module changed in place; "unknown" that it may be a view of an input, or kept
 * by the module.
 */
export type OutputOrigin = "own" | "input" | "rewritten" | "unknown";

/** Sees a module's output on its way to the next layer, and says what that layer gets. */
export type Interceptor = (output: Tensor) => Tensor;

/** The same for this library's own code, which itself copies what has to keep its values. */
export type OutputHandler = (output: Tensor, origin: OutputOrigin) => Tensor;

interface Interception {
  readonly handlers: ReadonlyMap<object, OutputHandler>;
  readonly outer: Interception | null;
}

let active: Interception | null = null;

/**
 * Runs `fn` with the outputs of some modules passed through functions. Interceptions nest, the inner first; nothing stays. A
 * function may keep what it sees and what it returns: the next layer reads a copy.
 */
export function interceptOutputs<T>(interceptors: ReadonlyMap<object, Interceptor>, fn: () => T): T {
  expectMap("interceptOutputs: interceptors", interceptors, "a Map of modules and functions");
  for (const intercept of interceptors.values()) expectFunction("interceptOutputs: an interceptor", intercept);
  expectFunction("interceptOutputs: fn", fn);
  return handleOutputs(new Map(Array.from(interceptors, ([module, intercept]) => [module, copying(intercept)])), fn);
}

const copying = (intercept: Interceptor): OutputHandler => {
  return (output, origin) => {
    if (!isTensor(output)) return intercept(output);
    const seen = output.clone();
    const given = intercept(seen) ?? seen;
    if (!isTensor(given)) return given;
    const next = given.requiresGrad ? enableGrad(() => given.clone()) : given.clone();
    return inPlaceOf(output, next, origin);
  };
};

/** `interceptOutputs` without its copies. */
export function handleOutputs<T>(handlers: ReadonlyMap<object, OutputHandler>, fn: () => T): T {
  active = { handlers, outer: active };
  try {
    return fn();
  } finally {
    active = active.outer;
  }
}

/**
 * Runs `fn` and gathers the outputs of the modules in `wanted`, each as `tapOutput` keeps it; a module that runs twice gives
 * its last output.
 */
export function recordOutputs<T, M extends object = object>(
  wanted: ReadonlySet<M>,
  fn: () => T,
): { result: T; outputs: Map<M, Tensor> } {
  if (!types.isSet(wanted)) throw wrongArgument("recordOutputs: wanted", "a Set of modules", wanted);
  expectFunction("recordOutputs: fn", fn);
  const outputs = new Map<M, Tensor>();
  const record = (module: M): OutputHandler => {
    return (output, origin) => {
      const { tap, next } = tapOutput(output, { origin, graph: isGradEnabled() });
      outputs.set(module, tap);
      return next;
    };
  };
  const handlers = new Map(Array.from(wanted, (module) => [module, record(module)]));
  return { result: handleOutputs(handlers, fn), outputs };
}

/** A layer's output as somebody keeps it, and as the next layer gets it. */
export interface TappedOutput {
  readonly tap: Tensor;
  readonly next: Tensor;
}

/**
 * Taps a layer's output. The next layer gets the same values in memory of their own, so that whatever it writes there in place
 * does not reach the tap. With `graph` the tap is a node in the graph of `next`, of which gradients exist also where frozen
 * layers gave the output without a graph; only what is computed of the layer's output leads through it, and nothing that reads
 * the layer's input, though that may be the same tensor. What is no tensor, as the outputs of a module that has several, is
 * neither kept apart nor differentiated.
 */
export function tapOutput(output: Tensor, { origin, graph }: { origin: OutputOrigin; graph: boolean }): TappedOutput {
  if (!isTensor(output)) return { tap: output, next: output };
  if (!graph || !output.dtype.includes("float")) return { tap: output.clone(), next: output };
  return enableGrad(() => {
    const own = origin === "own" ? output : output.clone();
    const tap = own.requiresGrad ? own : own.detach().requiresGrad_();
    return { tap, next: inPlaceOf(output, tap.clone(), origin) };
  });
}

/**
 * What the next layer gets where a tensor takes the place of a layer's output. A layer that changed its input in place returned
 * that very tensor: whoever holds it reads what takes its place, as it would have read the layer's output.
 */
export function inPlaceOf(output: Tensor, replacement: Tensor, origin: OutputOrigin): Tensor {
  if (origin !== "rewritten") return replacement;
  exchangeTensors(output, replacement);
  return output;
}

/** Whether somebody looks at a module's output, or changes it, so that it has to exist. */
export function isWatched(module: object): boolean {
  for (let interception = active; interception !== null; interception = interception.outer)
    if (interception.handlers.has(module)) return true;
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

/** What `Module.run` passes its output through, and what fused kernels pass theirs through, which is always their own. */
export function report(module: object, output: Tensor, origin: OutputOrigin = "own"): Tensor {
  let reported = output;
  for (let interception = active; interception !== null; interception = interception.outer) {
    reported = interception.handlers.get(module)?.(reported, origin) ?? reported;
  }
  return reported;
}
