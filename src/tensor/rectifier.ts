import type { Handle } from "../engine/dispatch.ts";
import { callSync, type TensorCore } from "./core.ts";
import * as aten from "./generated/aten.ts";

let guidedCalls: number | null = null;

/** max(x, 0): every `relu` calls this, so that `withGuidedRelu` can change the gradient of all of them. */
export function rectify(x: TensorCore): Handle {
  if (guidedCalls === null) return aten.relu(x);
  guidedCalls++;
  return aten.batchCamGuidedRelu(x);
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
