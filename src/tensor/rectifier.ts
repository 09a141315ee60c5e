import type { Handle } from "../engine/dispatch.ts";
import { callSync, type TensorCore } from "./core.ts";
import * as aten from "./generated/aten.ts";

let guidedCalls: number | null = null;

/** max(x, 0). Every `relu` calls this function, so that `withGuidedRelu` can change the gradient of all of them. */
export function rectify(x: TensorCore): Handle {
  if (guidedCalls === null) return aten.relu(x);
  guidedCalls++;
  return aten.batchCamGuidedRelu(x);
}

/**
 * Runs `fn`, which must be synchronous, with the gradient of guided backpropagation in every ReLU: a gradient passes only if both it and
 * the ReLU's input are positive (Springenberg et al., arXiv 1412.6806). The values do not change.
 *
 * @returns the result of `fn`, and the number of ReLUs that it computed
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
