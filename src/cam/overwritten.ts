import { BatchCamError } from "../errors.ts";
import type { Tensor } from "../tensor/index.ts";
import { tapName } from "../tensor/tap-name.ts";

/** The error for a gradient that needs a value which the caller's model overwrote in place after it had tapped a layer's output. */
export function overwrittenBehind(operation: string, output: Tensor, cause: unknown): BatchCamError {
  const layer = tapName(output);
  const behind = layer === undefined ? "behind the activations" : `behind layer ${layer}`;
  const operator = /output \d+ of (\w+?)(?:Backward\d*)?,/.exec(String(cause))?.[1];
  const value = operator === undefined ? "a value" : `a value of ${operator}`;
  const advice =
    "write that operator without its underscore (mul in place of mul_), or clone() the tensor before it, as training needs too";
  return new BatchCamError(
    "E_CONFIG",
    `${operation}: the gradient needs ${value} that the model overwrote in place ${behind}: ${advice}; explain() takes the model as it is`,
    { cause },
  );
}
