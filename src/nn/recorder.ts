import { types } from "node:util";
import { expectFunction, wrongArgument } from "../arguments.ts";
import { isGradEnabled, type Tensor } from "../tensor/index.ts";

interface Recording {
  readonly wanted: ReadonlySet<object>;
  readonly outputs: Map<object, Tensor>;
  readonly outer: Recording | null;
}

let active: Recording | null = null;

/** Runs `fn` and gathers the outputs of the modules in `wanted`; a module that runs twice gives its last output. */
export function recordOutputs<T>(
  wanted: ReadonlySet<object>,
  fn: () => T,
): { result: T; outputs: Map<object, Tensor> } {
  if (!types.isSet(wanted)) throw wrongArgument("recordOutputs: wanted", "a Set of modules", wanted);
  expectFunction("recordOutputs: fn", fn);
  const recording: Recording = { wanted, outputs: new Map(), outer: active };
  active = recording;
  try {
    return { result: fn(), outputs: recording.outputs };
  } finally {
    active = recording.outer;
  }
}

/** What `Module.run` passes its output through. */
export function report(module: object, output: Tensor): Tensor {
  let reported = output;
  for (let recording = active; recording !== null; recording = recording.outer) {
    if (!recording.wanted.has(module)) continue;
    reported = differentiable(reported);
    recording.outputs.set(module, reported);
  }
  return reported;
}

/** A map of frozen layers has no graph; as a leaf of its own, gradients with respect to it exist all the same. */
function differentiable(output: Tensor): Tensor {
  if (output.requiresGrad || !isGradEnabled() || !output.dtype.includes("float")) return output;
  return output.detach().requiresGrad_();
}
