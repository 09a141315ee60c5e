import { types } from "node:util";
import { expectFunction, expectMap, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { enableGrad, isGradEnabled, noGrad, type Tensor, tidy } from "../tensor/index.ts";
import { exchangeTensors, isOverwritten, isTensor } from "../tensor/internal.ts";
import { logitsOf } from "./logits.ts";
import { mayShare, type OutputOrigin, SharedOutputs } from "./shared-outputs.ts";

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

/** What a forward pass gave, with the outputs of some modules. */
export interface RecordedOutputs<T, M extends object> {
  readonly result: T;
  readonly outputs: Map<M, Tensor>;
  /** Modules whose output may share memory with their input, and was changed in place afterwards. */
  readonly changed: ReadonlySet<M>;
  /** Those of them whose memory was changed under another name than that of the output. */
  readonly changedElsewhere: ReadonlySet<M>;
}

/**
 * Runs `fn` and gathers the outputs of the modules in `wanted`, each as `tapOutput` keeps it; a module that runs twice gives
 * its last output. `joined` are modules whose output stays in the memory that it shares with their input.
 */
export function recordOutputs<T, M extends object = object>(
  wanted: ReadonlySet<M>,
  fn: () => T,
  { joined, nameOf }: { joined?: ReadonlySet<M>; nameOf?: (module: M) => string } = {},
): RecordedOutputs<T, M> {
  if (!types.isSet(wanted)) throw wrongArgument("recordOutputs: wanted", "a Set of modules", wanted);
  expectFunction("recordOutputs: fn", fn);
  const outputs = new Map<M, Tensor>();
  const watch = new SharedOutputs<M>();
  const record = (module: M): OutputHandler => {
    return (output, origin) => {
      const name = nameOf?.(module) ?? `recordOutputs: ${module.constructor.name}`;
      const joins = mayShare(origin) && joined?.has(module) === true;
      const { tap, next } = tapOutput(output, { origin: joins ? "rewritten" : origin, graph: isGradEnabled(), name });
      if (mayShare(origin) && next !== output) watch.add(module, output, next);
      outputs.set(module, tap);
      return next;
    };
  };
  const handlers = new Map(Array.from(wanted, (module) => [module, record(module)]));
  const result = handleOutputs(handlers, fn);
  return { result, outputs, changed: watch.changed(), changedElsewhere: watch.changedElsewhere() };
}

/** A layer's output as somebody keeps it, and as the next layer gets it. */
export interface TappedOutput {
  readonly tap: Tensor;
  readonly next: Tensor;
}

export interface TapOptions {
  readonly origin: OutputOrigin;
  readonly graph: boolean;
  /** How an error names the layer. */
  readonly name: string;
}

/**
 * Taps a layer's output. The next layer gets the same values in memory of their own, so that whatever it writes there in place
 * does not reach the tap. With `graph` the tap is a node in the graph of `next`, of which gradients exist also where frozen
 * layers gave the output without a graph; only what is computed of the layer's output leads through it, and nothing that reads
 * the layer's input, though that may be the same tensor. What is no tensor, as the outputs of a module that has several, is
 * neither kept apart nor differentiated.
 *
 * @throws E_CONFIG where the layer works in place on a view that autograd does not let it overwrite
 */
export function tapOutput(output: Tensor, { origin, graph, name }: TapOptions): TappedOutput {
  if (!isTensor(output)) return { tap: output, next: output };
  if (!graph || !output.dtype.includes("float")) return { tap: output.clone(), next: output };
  return enableGrad(() => {
    const own = origin === "own" ? output : output.clone();
    const tap = own.requiresGrad ? own : own.detach().requiresGrad_();
    return { tap, next: origin === "rewritten" ? writtenBack(output, tap, name) : tap.clone() };
  });
}

/** The output, whose readers are led through the tap. The libtorch error's words stay, by which callers know what to try next. */
function writtenBack(output: Tensor, tap: Tensor, name: string): Tensor {
  try {
    return inPlaceOf(output, tap, "rewritten");
  } catch (cause) {
    if (!isOverwritten(cause)) throw cause;
    const advice = "clone() the tensor before that layer, or let the layer return a copy";
    const problem = "works in place on a view that autograd does not let it overwrite while it records gradients";
    throw new BatchCamError("E_CONFIG", `${name} ${problem}: ${advice} (${(cause as Error).message})`, { cause });
  }
}

/**
 * What the next layer gets where a tensor takes the place of a layer's output. A layer that changed its input in place returned
 * that very memory: whoever holds it, under any name and as any view, reads what takes its place, as it would have read the
 * layer's output. It is therefore written into that memory, and autograd leads every reader through it.
 */
export function inPlaceOf(output: Tensor, replacement: Tensor, origin: OutputOrigin): Tensor {
  if (origin !== "rewritten") return replacement;
  if (output.dtype === replacement.dtype && String(output.sizes) === String(replacement.sizes))
    return output.copy_(replacement);
  exchangeTensors(output, replacement); // of another shape, so that only this name can have it
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

/** What recording needs of a module. It does not import `Module`, whose `forwardWith` records. */
interface Layer {
  readonly training: boolean;
  namedModules(): ReadonlyMap<string, Layer>;
}

/**
 * `recordOutputs` of a model, where a tapped output may share memory with its module's input. What reads the output gets a copy
 * of it, and a change of that memory under another name does not reach the copy. Whether that matters, only the logits tell: a
 * model in evaluation mode runs once more without taps, and where the logits differ the output stays in its memory.
 *
 * @throws E_CONFIG in training mode, where a second run would change running statistics
 */
export function recordShared<M extends Layer>(
  model: M,
  modules: ReadonlyMap<string, M>,
  forward: () => unknown,
): RecordedOutputs<unknown, M> {
  const wanted = new Set(modules.values());
  const paths = new Map(Array.from(modules, ([path, module]) => [module, path]));
  const nameOf = (module: M) => `forwardWith: layer ${paths.get(module)}`;
  const first = recordOutputs(wanted, forward, { nameOf });
  if (first.changed.size === 0) return first;
  if ([...model.namedModules().values()].some(({ training }) => training)) {
    for (const [path, module] of modules) if (first.changedElsewhere.has(module)) throw sharedMemory(path);
    return first;
  }
  const agrees = tidy(() => {
    const logits = logitsOf("forwardWith", model, noGrad(forward));
    return areClose(logitsOf("forwardWith", model, first.result), logits);
  });
  return agrees ? first : recordOutputs(wanted, forward, { joined: first.changed, nameOf });
}

/** Whether logits are the same but for rounding. */
function areClose(ours: Tensor, theirs: Tensor): boolean {
  const [a, b] = [ours.detach().to("float64"), theirs.detach().to("float64")];
  const tolerance = ours.dtype === "float32" || ours.dtype === "float64" ? 1e-4 : 1e-2;
  return a.sub(b).abs().max().item() <= tolerance * b.abs().max().item();
}

function sharedMemory(path: string): BatchCamError {
  return new BatchCamError(
    "E_CONFIG",
    `forwardWith: ${path} returned memory that the model changes in place afterwards under another name, which a tapped output in training mode does not follow: clone() the input of ${path} or its output, write the later operator without its underscore, or call eval() first`,
  );
}
