import { describeValue } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import type { Tensor } from "../tensor/index.ts";
import { isTensor } from "../tensor/internal.ts";

/**
 * The logits in what a model returned: the tensor itself, the first entry of an array (logits and what belongs to them, as
 * auxiliary heads give), or the property `logits` of an object.
 *
 * @throws E_CONFIG where there is no such tensor
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

/** What a module returned that was to be a tensor, in words. */
export function describeOutput(output: unknown): string {
  if (Array.isArray(output)) return `an array of ${output.length}`;
  if (typeof output !== "object" || output === null || isTensor(output)) return describeValue(output);
  if (typeof (output as { then?: unknown }).then === "function") return "a promise";
  const keys = Object.keys(output).slice(0, 5);
  return keys.length === 0 ? describeValue(output) : `an object of ${keys.join(", ")}`;
}
