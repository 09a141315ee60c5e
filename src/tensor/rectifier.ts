import { native } from "../native/addon.ts";
import { check, type Handle } from "../native/dispatch.ts";
import { handleOf, type TensorCore } from "./core.ts";
import * as aten from "./generated/aten.ts";
import { callSync } from "./tidy.ts";

let guidedCalls: number | null = null;

/** What every `relu` computes with: max(x, 0). */
export function rectify(x: TensorCore): Handle {
  if (guidedCalls === null) return aten.relu(x);
  guidedCalls++;
  return check("relu", native.guidedRelu(handleOf(x, "relu"))) as Handle;
}

/**
 * Runs `fn` with the gradient of guided backpropagation in every ReLU: it passes only where both the input and the gradient
 * that comes from above are positive (Springenberg et al., arXiv 1412.6806). Values stay the same. Synchronous.
 *
 * @returns what `fn` gave, and how many ReLUs it computed
 */
export function withGuidedRelu<T>(fn: () => T): { result: T; rectifiers: number } {
  const outer = guidedCalls;
  guidedCalls = 0;
  try {
    return { result: callSync("withGuidedRelu", fn), rectifiers: guidedCalls };
  } finally {
    guidedCalls = outer;
  }
}
