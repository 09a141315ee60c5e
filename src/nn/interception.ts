import { expectFunction, expectMap } from "../arguments.ts";
import { enableGrad, type Tensor } from "../tensor/index.ts";
import { exchangeTensors, isTensor, versionOf } from "../tensor/internal.ts";

/**
 * Where a module's output comes from: "own" says that nobody else holds its memory; "input" that it is an input of the module,
 * as of `Identity`; "rewritten" that it is one that the module changed in place, or a view of one; "unknown" that it may be a
 * view of an input, or kept by the module.
 */
export type OutputOrigin = "own" | "input" | "rewritten" | "unknown";

/** Where an output comes from, of a module whose inputs had these versions before it ran. */
export function originOf(output: unknown, inputs: readonly unknown[], before: readonly number[]): OutputOrigin {
  if (!isTensor(output)) return "unknown";
  const version = versionOf(output);
  // A view has the version of what it is a view of, and an output of its own has hardly ever that of a changed input.
  const isRewritten = inputs.some(
    (input, i) => isTensor(input) && versionOf(input) !== before[i] && versionOf(input) === version,
  );
  if (isRewritten) return "rewritten";
  return inputs.includes(output) ? "input" : "unknown";
}

/** Whether an output may be the input of its module, or a view of it, that the module left as it was. */
export const mayShare = (origin: OutputOrigin): boolean => origin === "input" || origin === "unknown";

/** Takes a module's output and returns what the next layer gets. */
export type Interceptor = (output: Tensor) => Tensor;

/** An `Interceptor` of this library. It gets the output itself, and has to copy what must keep its values. */
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

/** Whether a handler takes this module's output, so that a fused kernel may not skip it. */
export function isWatched(module: object): boolean {
  for (let interception = active; interception !== null; interception = interception.outer)
    if (interception.handlers.has(module)) return true;
  return false;
}

/** Runs a module's forward. A profile measures the time of modules in this way. */
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

/** Runs a module's forward, or the fused kernel that replaces it, through the observer if there is one. */
export const observed = (module: object, forward: () => Tensor): Tensor =>
  runObserver === null ? forward() : runObserver(module, forward);

/**
 * Passes a module's output through the handlers. `Module.run` and the fused kernels call it; a kernel's output is always its
 * own.
 */
export function emitOutput(module: object, output: Tensor, origin: OutputOrigin = "own"): Tensor {
  let reported = output;
  for (let interception = active; interception !== null; interception = interception.outer) {
    reported = interception.handlers.get(module)?.(reported, origin) ?? reported;
  }
  return reported;
}

/**
 * The tensor that the next layer gets if a layer's output is replaced. A layer that changed its input in place returned
 * that very memory: whoever holds it, under any name and as any view, must read the replacement, as it would have read the
 * layer's output. The replacement is therefore written into that memory, and autograd leads every reader through it.
 */
export function inPlaceOf(output: Tensor, replacement: Tensor, origin: OutputOrigin): Tensor {
  if (origin !== "rewritten") return replacement;
  if (output.dtype === replacement.dtype && String(output.sizes) === String(replacement.sizes))
    return output.copy_(replacement);
  exchangeTensors(output, replacement); // of another shape, so that only this name can have it
  return output;
}
