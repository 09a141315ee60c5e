import { expectFunction, optionsOf, wrongArgument } from "../arguments.ts";
import { native } from "../engine/addon.ts";
import { arena, boolean, check, type Handle, listOf } from "../engine/dispatch.ts";
import { BatchCamError } from "../errors.ts";
import { callSync, handleOf, putTensors, type TensorCore } from "./core.ts";
import { codeOf, type DType, dtypeOf } from "./dtype.ts";
import * as aten from "./generated/aten.ts";
import { Tensor } from "./tensor.ts";

export interface GradOptions {
  /** Keep the graph of the gradients themselves, for gradients of gradients. */
  createGraph?: boolean;
  /** Keep the graph of `outputs` for a further call; as `createGraph` by default. */
  retainGraph?: boolean;
  /** The vector of the vector-Jacobian product, one for each output; needed if an output is not a scalar. */
  gradOutputs?: Tensor | readonly Tensor[];
  /** Give zeros for an input that the outputs do not depend on, instead of an error. */
  allowUnused?: boolean;
}

const asList = (value: Tensor | readonly Tensor[], place: string): readonly Tensor[] =>
  Array.isArray(value) ? listOf(value, place) : [value as Tensor];

/** One gradient for each input: a tuple where the inputs are one. */
export type Gradients<Inputs extends Tensor | readonly Tensor[]> = Inputs extends readonly Tensor[]
  ? { -readonly [Place in keyof Inputs]: Tensor }
  : [Tensor];

/**
 * Gradients of the sum of `outputs` (weighted by `gradOutputs`) with respect to each of `inputs`: one vector-Jacobian
 * product. Writes no `.grad`.
 *
 * @returns an array with a gradient for each input, also for a single one
 * @throws E_NATIVE if an output has no graph, or an input is unused and `allowUnused` is not set.
 */
export function grad<const Inputs extends Tensor | readonly Tensor[]>(
  outputs: Tensor | readonly Tensor[],
  inputs: Inputs,
  options: GradOptions = {},
): Gradients<Inputs> {
  const {
    createGraph = false,
    retainGraph = createGraph,
    gradOutputs = [],
    allowUnused = false,
  } = optionsOf("grad", options, ["createGraph", "retainGraph", "gradOutputs", "allowUnused"]);
  const from = asList(outputs, "grad: outputs");
  const to = asList(inputs, "grad: inputs");
  const seeds = asList(gradOutputs, "grad: gradOutputs");
  if (from.length === 0 || to.length === 0) {
    throw new BatchCamError("E_ARGUMENT", `grad: needs outputs and inputs, got ${from.length} and ${to.length}`);
  }
  let next = putTensors(0, from, "grad: outputs");
  next = putTensors(next, to, "grad: inputs");
  putTensors(next, seeds, "grad: gradOutputs");
  const status = native.grad(
    boolean(retainGraph, "grad: retainGraph"),
    boolean(createGraph, "grad: createGraph"),
    boolean(allowUnused, "grad: allowUnused"),
  );
  check("grad", status);
  const handles = Array.from(arena.subarray(0, to.length)) as Handle[];
  const gradients = handles.map((handle, index) =>
    handle < 0 ? new Tensor(aten.zerosLike(to[index] as Tensor)) : new Tensor(handle),
  );
  return gradients as Tensor[] as Gradients<Inputs>;
}

/** Adds the gradient of `loss` (a scalar, or with `gradient` any shape) to the `.grad` of every leaf that it depends on. */
export function backward(
  loss: Tensor,
  options: { gradient?: Tensor; createGraph?: boolean; retainGraph?: boolean } = {},
): void {
  const {
    gradient,
    createGraph = false,
    retainGraph = createGraph,
  } = optionsOf("backward", options, ["gradient", "createGraph", "retainGraph"]);
  const next = putTensors(0, [loss], "backward: loss");
  putTensors(next, gradient === undefined ? [] : [gradient], "backward: gradient");
  check(
    "backward",
    native.backward(boolean(retainGraph, "backward: retainGraph"), boolean(createGraph, "backward: createGraph")),
  );
}

function withGradMode<T>(operation: string, enabled: boolean, fn: () => T): T {
  const before = native.setGradMode(enabled);
  try {
    return callSync(operation, fn);
  } finally {
    native.setGradMode(before);
  }
}

/** Runs `fn` without recording a graph. Synchronous. */
export function noGrad<T>(fn: () => T): T {
  return withGradMode("noGrad", false, fn);
}

/** Runs `fn` recording a graph, also within `noGrad`. Synchronous. */
export function enableGrad<T>(fn: () => T): T {
  return withGradMode("enableGrad", true, fn);
}

/** Turns recording on or off from here to the end of the enclosing `noGrad` or `enableGrad`, which puts it back. */
export function setGradEnabled(enabled: boolean): void {
  native.setGradMode(boolean(enabled, "setGradEnabled: enabled"));
}

export function isGradEnabled(): boolean {
  const enabled = native.setGradMode(true);
  native.setGradMode(enabled);
  return enabled;
}

/** The dtype of the active autocast; null if autocast is off. */
export function autocastDtype(): DType | null {
  native.enterAutocast(false, codeOf("float32"));
  const [enabled = 0, dtype = 0] = arena;
  native.leaveAutocast(enabled === 1, dtype);
  return enabled === 1 ? dtypeOf(dtype) : null;
}

export interface AutocastOptions {
  /** The dtype in which matrix products and convolutions compute. */
  dtype?: "bfloat16" | "float16";
  /** False turns an enclosing autocast off. */
  enabled?: boolean;
}

/**
 * Runs `fn` with torch's automatic mixed precision on the CPU: products in `dtype`, sensitive operators in float32.
 * Synchronous.
 */
export function autocast<T>(options: AutocastOptions, fn: () => T): T {
  const { dtype = "bfloat16", enabled = true } = optionsOf("autocast", options, ["dtype", "enabled"]);
  expectFunction("autocast: fn", fn);
  if (dtype !== "bfloat16" && dtype !== "float16") {
    throw wrongArgument("autocast: dtype", '"bfloat16" or "float16"', dtype);
  }
  native.enterAutocast(boolean(enabled, "autocast: enabled"), codeOf(dtype));
  const [wasEnabled = 0, formerDtype = 0] = arena;
  try {
    return callSync("autocast", fn);
  } finally {
    native.leaveAutocast(wasEnabled === 1, formerDtype);
  }
}

/** Converts 16-bit floats to float32; returns any other tensor itself. */
export function upcastHalf(x: Tensor): Tensor {
  return x.dtype === "bfloat16" || x.dtype === "float16" ? x.to("float32") : x;
}

/** Changes that libtorch makes without counting them. */
const uncounted = new WeakMap<TensorCore, number>();

/** Says that a tensor was changed in place by an operator that does not count it, as batch norm does its running statistics. */
export function countChange(tensor: TensorCore): void {
  uncounted.set(tensor, (uncounted.get(tensor) ?? 0) + 1);
}

/** How often a tensor was changed in place. Values derived from the tensor are valid as long as this does not change. */
export function versionOf(tensor: TensorCore): number {
  return check("versionOf", native.versionOf(handleOf(tensor, "versionOf"))) + (uncounted.get(tensor) ?? 0);
}

const names = new WeakMap<TensorCore, string>();

/** Remembers of which layer a tensor is the output, for messages. */
export function nameTap(tensor: TensorCore, layer: string): void {
  names.set(tensor, layer);
}

/** The layer whose output a tensor is, if a forward pass recorded it. */
export const tapName = (tensor: TensorCore): string | undefined => names.get(tensor);

export { inPlaceCalls } from "../engine/dispatch.ts";

/**
 * Runs `fn` while autograd keeps copies of the values that it saves for the backward pass, so that operators that work in
 * place may overwrite any of them afterwards. Costs the memory of a copy for each saved value. Synchronous.
 */
export function copyingSaved<T>(operation: string, fn: () => T): T {
  const before = native.copySaved(true);
  try {
    return callSync(operation, fn);
  } finally {
    native.copySaved(before);
  }
}

/** Whether an error says that autograd needs a value that an operator overwrote in place, or may not overwrite. */
export function isOverwritten(error: unknown): boolean {
  return /modified by an inplace operation|in-place operation|modified inplace|is being modified inplace/.test(
    String(error),
  );
}
