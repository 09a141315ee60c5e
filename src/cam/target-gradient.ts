import { describeValue } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { enableGrad, grad, type Tensor } from "../tensor/index.ts";
import { isOverwritten, tapName, upcastHalf } from "../tensor/internal.ts";

// Every method needs the gradient of the target's score, G = ∂(Σ_b score_b) / ∂A. One vector-Jacobian product is enough for the whole
// batch. `scoreGradient` is for forward passes that `explain` runs, and `callersGradient` for those that the caller ran.

/**
 * The gradients of a score with respect to tensors of a forward pass that `explain` ran. The graph is kept for further gradients.
 *
 * @throws E_ARGUMENT if the score does not depend on one of the tensors
 */
export function scoreGradient(score: Tensor, inputs: readonly Tensor[], createGraph: boolean): Tensor[] {
  try {
    return grad(score, inputs, { createGraph, retainGraph: true });
  } catch (cause) {
    if (!isUnused(cause)) throw cause;
    throw new BatchCamError(
      "E_ARGUMENT",
      `explain: the target's score does not depend on every layer that is explained: choose layers on the way to the logits (${describeValue(inputs.length)} given)`,
      { cause },
    );
  }
}

/** Whether an error of `grad` says that the output does not depend on the input. */
export function isUnused(error: unknown): boolean {
  return /not have been used in the graph|does not require grad/.test(String(error));
}

/** A tensor of a forward pass that the caller ran, with the names that errors use. */
export interface CallersTensor {
  /** The public function that was called. */
  operation: string;
  /** S (B, C), computed from `tensor` with its graph. */
  logits: Tensor;
  tensor: Tensor;
  /** The name of the argument through which `tensor` was passed. */
  name: string;
  createGraph: boolean;
}

/**
 * The gradient of a score (B) of the logits with respect to a tensor of the caller's forward pass; float32 for a tensor of 16 bits.
 *
 * @throws E_ARGUMENT if no graph leads from the logits to the tensor; E_CONFIG if the model overwrote a value that the gradient needs
 */
export function callersGradient(
  { operation, logits, tensor, name, createGraph }: CallersTensor,
  score: () => Tensor,
): Tensor {
  for (const [argument, value] of Object.entries({ logits, [name]: tensor }))
    if (!value.requiresGrad) throw withoutGraph(operation, `no graph behind ${argument}`);
  const sum = enableGrad(() => score().sum());
  if (!sum.requiresGrad) throw withoutGraph(operation, "the target's score does not depend on the logits");
  try {
    const [gradient] = grad(sum, tensor, { createGraph, retainGraph: true }) as [Tensor];
    return upcastHalf(gradient);
  } catch (cause) {
    if (isOverwritten(cause)) throw overwrittenBehind(operation, tensor, cause);
    if (!isUnused(cause)) throw cause;
    throw withoutGraph(operation, `the logits were not computed from ${name}`, cause);
  }
}

function withoutGraph(operation: string, problem: string, cause?: unknown): BatchCamError {
  const advice = "compute both in one forward pass outside noGrad, and pass the very tensor that the next layer reads";
  return new BatchCamError("E_ARGUMENT", `${operation}: ${problem}: ${advice}`, { cause });
}

/** The caller's model overwrote a value in place after a layer's output was tapped, and the gradient needs that value. */
function overwrittenBehind(operation: string, output: Tensor, cause: unknown): BatchCamError {
  const layer = tapName(output);
  const behind = layer === undefined ? "behind the activations" : `behind layer ${layer}`;
  const operator = /output \d+ of (\w+?)(?:Backward\d*)?,/.exec(String(cause))?.[1];
  const value = operator === undefined ? "a value" : `a value of ${operator}`;
  const advice =
    "write that operator without its underscore (mul in place of mul_), or clone() the tensor before it, as training needs too";
  return new BatchCamError(
    "E_CONFIG",
    `${operation}: the gradient needs ${value} that the model overwrote in place ${behind}: ${advice}; explain() works with the model as it is`,
    { cause },
  );
}
