import { expectFunction, expectMap } from "../arguments.ts";
import { enableGrad, type Tensor } from "../tensor/index.ts";
import { exchangeTensors, isTensor, versionOf } from "../tensor/internal.ts";

/**
 * The origin of a module's output: "own" if no other tensor shares its memory; "input" if it is an input of the module, as for
 * `Identity`; "rewritten" if it is an input that the module changed in place, or a view of one; "unknown" if it may be a view of an
 * input, or a tensor that the module keeps.
 */
export type OutputOrigin = "own" | "input" | "rewritten" | "unknown";

/** The origin of a module's output, given the versions that its inputs had before it ran. */
export function originOf(output: unknown, inputs: readonly unknown[], before: readonly number[]): OutputOrigin {
  if (!isTensor(output)) return "unknown";
  const version = versionOf(output);
  // A view has the version of its base. An output with memory of its own hardly ever has the same version as a changed
  // input.
  const isRewritten = inputs.some(
    (input, i) => isTensor(input) && versionOf(input) !== before[i] && versionOf(input) === version,
  );
  if (isRewritten) return "rewritten";
  return inputs.includes(output) ? "input" : "unknown";
}

/** Whether an output may be the module's input or a view of it, without an in-place change by the module. */
export const mayShare = (origin: OutputOrigin): boolean => origin === "input" || origin === "unknown";

/** A function that receives a module's output and returns the tensor that the next layer gets. */
export type Interceptor = (output: Tensor) => Tensor;

/** An internal `Interceptor`. It gets the output itself rather than a copy, so it has to copy tensors whose values must not change. */
export type OutputHandler = (output: Tensor, origin: OutputOrigin) => Tensor;

interface Interception {
  readonly handlers: ReadonlyMap<object, OutputHandler>;
  readonly outer: Interception | null;
}

let active: Interception | null = null;

/**
 * Runs `fn` while the outputs of some modules are passed through functions. Interceptions can be nested; the inner one is called first.
 * They end with `fn`. A function may keep the tensor that it receives and the one that it returns, because the next layer reads a copy.
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

/** Whether a handler takes the output of any module. */
export const isWatching = (): boolean => active !== null;

/** Whether a handler needs this module's output, so that a fused kernel must not skip it. */
export function isWatched(module: object): boolean {
  for (let interception = active; interception !== null; interception = interception.outer)
    if (interception.handlers.has(module)) return true;
  return false;
}

/** Called in place of a module's forward, which it runs. A profile measures the time of modules with it. */
export type RunObserver = (module: object, forward: () => Tensor) => Tensor;

let runObserver: RunObserver | null = null;

/** Runs `fn` while an observer is called around every module's forward. */
export function observeRuns<T>(observer: RunObserver, fn: () => T): T {
  const outer = runObserver;
  runObserver = observer;
  try {
    return fn();
  } finally {
    runObserver = outer;
  }
}

/** Runs a module's forward, or the fused kernel that replaces it, through the observer if there is one. */
export const observed = (module: object, forward: () => Tensor): Tensor =>
  runObserver === null ? forward() : runObserver(module, forward);

/**
 * Passes a module's output through the handlers. `Module.run` and the fused kernels call it. The origin of a kernel's output is always
 * "own".
 */
export function emitOutput(module: object, output: Tensor, origin: OutputOrigin = "own"): Tensor {
  let reported = output;
  for (let interception = active; interception !== null; interception = interception.outer) {
    reported = interception.handlers.get(module)?.(reported, origin) ?? reported;
  }
  return reported;
}

/**
 * The tensor that the next layer gets if a layer's output is replaced. If the layer changed its input in place and returned it, other
 * code may hold the same memory through another tensor or a view, and must read the replacement as it would have read the layer's output.
 * The replacement is therefore written into that memory, so that autograd includes it in the graph of everything that reads the memory.
 */
export function inPlaceOf(output: Tensor, replacement: Tensor, origin: OutputOrigin): Tensor {
  if (origin !== "rewritten") return replacement;
  if (output.dtype === replacement.dtype && String(output.sizes) === String(replacement.sizes))
    return output.copy_(replacement);
  exchangeTensors(output, replacement); // the shape differs, so the replacement cannot be written into the memory
  return output;
}
