import { types } from "node:util";
import { describeValue, expectFunction, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { enableGrad, isGradEnabled, noGrad, type Tensor, tidy } from "../tensor/index.ts";
import { explained, isOverwritten, isTensor, nameTap, versionOf } from "../tensor/internal.ts";
import { handleOutputs, inPlaceOf, mayShare, type OutputHandler, type OutputOrigin } from "./interception.ts";

/** The result of a forward pass, with the outputs of some modules. */
export interface RecordedOutputs<T, M extends object> {
  readonly result: T;
  readonly outputs: Map<M, Tensor>;
  /** Modules whose output may share memory with their input, and was changed in place afterwards. */
  readonly changed: ReadonlySet<M>;
  /** Those of them whose memory was changed through a tensor other than the output. */
  readonly changedElsewhere: ReadonlySet<M>;
}

/**
 * Runs `fn` and collects the outputs of the modules in `wanted` by `tapOutput`. For a module that runs twice, the last output is kept.
 * `joined` are modules whose output keeps sharing memory with their input.
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

/** A layer's output: the tensor that is kept, and the one that the next layer gets. */
export interface TappedOutput {
  readonly tap: Tensor;
  readonly next: Tensor;
}

export interface TapOptions {
  readonly origin: OutputOrigin;
  readonly graph: boolean;
  /** The name of the layer in errors. */
  readonly name: string;
}

/**
 * Taps a layer's output. The next layer gets a copy, so that in-place changes by it do not affect the tap. With `graph` the tap is a node
 * in the graph of `next`, so that gradients with respect to it exist even if frozen layers returned the output without a graph. Only what
 * reads the layer's output depends on the tap; what reads the layer's input does not, even if both are the same tensor. A value that is
 * not a tensor, such as the outputs of a module with several, is neither copied nor differentiated.
 *
 * @throws E_CONFIG if the layer works in place on a view that autograd does not allow to be overwritten
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

/** Makes the copy of the output depend on the tap. Callers decide by the kind of the failure what to try next. */
function writtenBack(output: Tensor, tap: Tensor, name: string): Tensor {
  try {
    return inPlaceOf(output, tap, "rewritten");
  } catch (cause) {
    if (!isOverwritten(cause)) throw cause;
    const advice = "clone() the tensor before that layer, or let the layer return a copy";
    const problem = "works in place on a view that autograd does not let it overwrite while it records gradients";
    throw explained(cause as BatchCamError, "E_CONFIG", `${name} ${problem}: ${advice} (${(cause as Error).message})`);
  }
}

/** The part of a module that recording needs. This file does not import `Module`, whose `forwardWith` records. */
interface Layer {
  readonly training: boolean;
  namedModules(): ReadonlyMap<string, Layer>;
}

/**
 * `recordOutputs` of a model in which a tapped output may share memory with its module's input. Layers that read the output get a copy,
 * which does not reflect later changes of that memory through another tensor. Only the logits show whether that matters: a model in
 * evaluation mode runs again without taps, and if the logits differ, the output is not copied.
 *
 * @throws E_CONFIG in training mode, because a second run would change running statistics
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

/**
 * The recorded outputs of modules by their paths.
 *
 * @throws E_CONFIG for a module that did not run, or that did not return a single tensor
 */
export function tapsOf<Path extends string>(
  modules: ReadonlyMap<Path, object>,
  outputs: ReadonlyMap<object, Tensor>,
): Record<Path, Tensor> {
  const found = {} as Record<Path, Tensor>;
  for (const [path, module] of modules) {
    const output = outputs.get(module);
    const problem =
      output === undefined
        ? `the model did not run ${path} on its way to the logits; call modules by run(x), not forward(x)`
        : `${path} returned ${describeOutput(output)}, not one tensor: tap a layer inside it`;
    if (output === undefined || !isTensor(output)) throw new BatchCamError("E_CONFIG", `forwardWith: ${problem}`);
    nameTap(output, path);
    found[path] = output;
  }
  return found;
}

/** Whether logits are equal up to rounding. */
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

interface Handed<M> {
  readonly module: M;
  readonly tensor: Tensor;
  readonly version: number;
}

/** The outputs that were replaced by copies. This class determines which outputs or copies were changed in place afterwards. */
export class SharedOutputs<M extends object> {
  readonly #outputs: Handed<M>[] = [];
  readonly #copies: Handed<M>[] = [];

  add(module: M, output: Tensor, next: Tensor): void {
    if (!isTensor(output)) return;
    this.#outputs.push({ module, tensor: output, version: versionOf(output) });
    this.#copies.push({ module, tensor: next, version: versionOf(next) });
  }

  /** The modules whose original output was changed, which is possible only through another tensor that shares its memory. */
  changedElsewhere(): Set<M> {
    return changedOf(this.#outputs);
  }

  /** The modules whose output or its copy was changed. */
  changed(): Set<M> {
    return changedOf([...this.#outputs, ...this.#copies]);
  }
}

function changedOf<M>(handed: readonly Handed<M>[]): Set<M> {
  const changed = handed.filter(({ tensor, version }) => !tensor.isDisposed && versionOf(tensor) !== version);
  return new Set(changed.map(({ module }) => module));
}

/**
 * Finds the logits in the value that a model returned: the tensor itself, the first entry of an array (as models with auxiliary heads
 * return), or the property `logits` of an object.
 *
 * @throws E_CONFIG if the value contains no such tensor
 */
export function logitsOf(operation: string, model: object, output: unknown): Tensor {
  const logits = candidateOf(output);
  if (isTensor(logits)) return logits as Tensor;
  throw new BatchCamError(
    "E_CONFIG",
    `${operation}: the model, a ${model.constructor.name}, returned ${describeOutput(output)}: its forward must return the logits, an array whose first entry they are, or an object with a property "logits"`,
  );
}

function candidateOf(output: unknown): unknown {
  if (isTensor(output) || typeof output !== "object" || output === null) return output;
  return Array.isArray(output) ? output[0] : (output as { logits?: unknown }).logits;
}

/** Describes, for an error, a value that a module returned instead of a tensor. */
export function describeOutput(output: unknown): string {
  if (Array.isArray(output)) return `an array of ${output.length}`;
  if (typeof output !== "object" || output === null || isTensor(output)) return describeValue(output);
  if (typeof (output as { then?: unknown }).then === "function") return "a promise";
  const keys = Object.keys(output).slice(0, 5);
  return keys.length === 0 ? describeValue(output) : `an object of ${keys.join(", ")}`;
}
