import { callSync, expectFunction, optionsOf, wrongArgument } from "../arguments.ts";
import {
  arena,
  boolean,
  check,
  type FailureKind,
  failureKind,
  type Handle,
  listOf,
  native,
} from "../engine/internal.ts";
import { BatchCamError } from "../errors.ts";
import { handleOf, putTensors, type TensorCore } from "./core.ts";
import { codeOf, type DType, dtypeOf } from "./dtype.ts";
import * as aten from "./generated/aten.ts";
import { Tensor } from "./tensor.ts";

export { explained, inPlaceCalls, overwrittenOperator } from "../engine/internal.ts";

export interface GradOptions {
  /** Whether the gradients have a graph of their own, so that they can be differentiated again. */
  createGraph?: boolean;
  /** Whether the graph of `outputs` is kept for a further call (default: the value of `createGraph`). */
  retainGraph?: boolean;
  /** The vector of the vector-Jacobian product, one tensor for each output. It is required if an output is not a scalar. */
  gradOutputs?: Tensor | readonly Tensor[];
  /** Whether an input that the outputs do not depend on gets a gradient of zeros instead of an error. */
  allowUnused?: boolean;
}

const asList = (value: Tensor | readonly Tensor[], place: string): readonly Tensor[] =>
  Array.isArray(value) ? listOf(value, place) : [value as Tensor];

/** One gradient for each input; a tuple if the inputs are a tuple. */
export type Gradients<Inputs extends Tensor | readonly Tensor[]> = Inputs extends readonly Tensor[]
  ? { -readonly [Place in keyof Inputs]: Tensor }
  : [Tensor];

/**
 * Gradients of the sum of `outputs` (weighted by `gradOutputs`) with respect to each of `inputs`: one vector-Jacobian
 * product. It writes no `.grad`.
 *
 * @returns an array with a gradient for each input, even if there is only one
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

/**
 * Adds the gradient of `loss` to the `.grad` of every leaf that it depends on. `loss` is a scalar, or of any shape if `gradient` is
 * given.
 */
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

/** Runs `fn`, which must be synchronous, without recording a graph. */
export function noGrad<T>(fn: () => T): T {
  return withGradMode("noGrad", false, fn);
}

/** Runs `fn`, which must be synchronous, and records a graph even within `noGrad`. */
export function enableGrad<T>(fn: () => T): T {
  return withGradMode("enableGrad", true, fn);
}

/** Turns recording on or off until the end of the enclosing `noGrad` or `enableGrad`, which restores the previous state. */
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
  /** False turns off an enclosing autocast. */
  enabled?: boolean;
}

/**
 * Runs `fn`, which must be synchronous, with torch's automatic mixed precision on the CPU: matrix products in `dtype`,
 * and numerically sensitive operators in float32.
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

/** The numbers of in-place changes that libtorch does not count, by tensor. */
const uncounted = new WeakMap<TensorCore, number>();

/**
 * Records that a tensor was changed in place by an operator that does not count the change, as batch norm changes its running statistics.
 */
export function countChange(tensor: TensorCore): void {
  uncounted.set(tensor, (uncounted.get(tensor) ?? 0) + 1);
}

/** The number of in-place changes of a tensor. Values that were derived from the tensor are valid as long as it stays the same. */
export function versionOf(tensor: TensorCore): number {
  return check("versionOf", native.versionOf(handleOf(tensor, "versionOf"))) + (uncounted.get(tensor) ?? 0);
}

const names = new WeakMap<TensorCore, string>();

/** Records which layer a tensor is the output of, for messages. */
export function nameTap(tensor: TensorCore, layer: string): void {
  names.set(tensor, layer);
}

/** The layer that a tensor is the output of, if a forward pass recorded it. */
export const tapName = (tensor: TensorCore): string | undefined => names.get(tensor);

/**
 * Runs `fn`, which must be synchronous, while autograd keeps copies of the values that it saves for the backward pass,
 * so that in-place operators may overwrite them afterwards. It takes the memory of a copy of each saved value.
 */
export function copyingSaved<T>(operation: string, fn: () => T): T {
  const before = native.copySaved(true);
  try {
    return callSync(operation, fn);
  } finally {
    native.copySaved(before);
  }
}

const OVERWRITTEN: ReadonlySet<FailureKind | undefined> = new Set(["overwritten", "refused write", "no-grad view"]);

/** Whether an operator overwrote a value that autograd needs, or autograd did not let it. */
export const isOverwritten = (error: unknown): boolean => OVERWRITTEN.has(failureKind(error));

/** Whether autograd did not let an operator write to a view, because the view was made while nothing was recorded. */
export const isNoGradView = (error: unknown): boolean => failureKind(error) === "no-grad view";

/** Whether the outputs of `grad` do not depend on an input. */
export const isUnused = (error: unknown): boolean => failureKind(error) === "unused";
