import { describeValue, expectInteger } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { enableGrad, grad, Tensor, tensor } from "../tensor/index.ts";
import {
  isOverwritten,
  isTensor,
  isUnused,
  overwrittenOperator,
  readLabels,
  tapName,
  upcastHalf,
} from "../tensor/internal.ts";

/**
 * The class or score that the maps of each sample explain:
 * - `"prediction"`: the class with the largest logit; `{ kth: k }`: the k-th most probable class, 1 being the prediction;
 * - a class for every sample: an integer tensor (B) or an array of B numbers, or one number for all of them;
 * - a function from logits (B, C) to scores (B) in which each score depends only on its own row: `(logits) =>
 *   logits.logSoftmax(1).select(1, 3)`. It always gets the rows of the whole batch in their order, once for every noisy copy, path point
 *   or removed channel that a method scores, even if the forward passes run in chunks;
 * - `"all"`: every class; maps are (B, C, H, W).
 */
export type Targets =
  | "prediction"
  | "all"
  | { readonly kth: number }
  | number
  | Tensor
  | readonly number[]
  | ScoreFunction;
export type ScoreFunction = (logits: Tensor) => Tensor;

/** The scores that maps are made for, one for each sample. */
export interface Target {
  /** (B), int64: the class of each sample; null if a function scores them. */
  readonly classes: Tensor | null;
  /** Scores (B) of logits (B, C), the rows of the whole batch in their order. */
  score(logits: Tensor): Tensor;
}

/** The target of classes (B), int64. */
export function classTarget(classes: Tensor): Target {
  return { classes, score: (logits) => logits.gather(1, classes.unsqueeze(1)).squeeze(1) };
}

/**
 * Checks targets and converts them, given the logits (B, C) of their batch.
 *
 * @returns one target, or with "all" a target for each class
 * @throws E_SHAPE if their number is not B; E_ARGUMENT for a class or a rank out of range, or a value that is not a target
 */
export function readTargets(operation: string, targets: Targets, logits: Tensor): Target[] {
  const [count, numClasses] = logits.sizes as [number, number];
  const constant = (label: number) => tensor(new BigInt64Array(count).fill(BigInt(label)));
  if (typeof targets === "function") return [{ classes: null, score: scoreFunction(operation, targets) }];
  if (targets === "prediction") return [classTarget(logits.detach().argmax(1))];
  if (targets === "all") return Array.from({ length: numClasses }, (_, label) => classTarget(constant(label)));
  if (typeof targets === "number") {
    expectInteger(`${operation}: targets`, targets, 0, numClasses - 1);
    return [classTarget(constant(targets))];
  }
  if (isTensor(targets) || isList(targets)) {
    const { tensor: classes } = readLabels(operation, targets as Tensor | readonly number[], { count, numClasses });
    return [classTarget(classes)];
  }
  if (typeof targets === "object" && targets !== null && "kth" in targets) {
    expectInteger(`${operation}: targets.kth`, targets.kth, 1, numClasses);
    return [
      classTarget(
        logits
          .detach()
          .topk(targets.kth, 1)
          .indices.select(1, targets.kth - 1)
          .contiguous(),
      ),
    ];
  }
  throw new BatchCamError(
    "E_ARGUMENT",
    `${operation}: targets must be "prediction", "all", { kth }, a class, a class for each sample or a function of the logits, got ${describeValue(targets)}`,
  );
}

const isList = (value: unknown) => Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));

function scoreFunction(operation: string, fn: ScoreFunction): Target["score"] {
  return (logits) => {
    const scores = fn(logits.clone()); // a copy, because the function may write to its argument
    const count = logits.sizes[0] as number;
    if (scores instanceof Tensor && ["", "1"].includes(scores.sizes.slice(1).join()) && scores.sizes[0] === count) {
      if (scores.dtype.includes("float")) return scores.reshape([count]); // a column [B, 1], as `gather` returns it, is allowed too
      const problem = `floating-point scores, got ${scores.dtype}`;
      throw new BatchCamError("E_DTYPE", `${operation}: the targets' function must give ${problem}`);
    }
    const got = scores instanceof Tensor ? `[${scores.shape.join(", ")}]` : describeValue(scores);
    throw new BatchCamError("E_SHAPE", `${operation}: the targets' function must give scores [N=${count}], got ${got}`);
  };
}

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
    if (!value.requiresGrad) throw withoutGraph(operation, `${argument} has no graph`);
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
  const advice = "compute both in one forward pass outside noGrad, and pass the same tensor that the next layer reads";
  return new BatchCamError("E_ARGUMENT", `${operation}: ${problem}: ${advice}`, { cause });
}

/** The caller's model overwrote a value in place after a layer's output was tapped, and the gradient needs that value. */
function overwrittenBehind(operation: string, output: Tensor, cause: unknown): BatchCamError {
  const layer = tapName(output);
  const behind = layer === undefined ? "after the activations" : `after layer ${layer}`;
  const operator = overwrittenOperator(cause);
  const value = operator === undefined ? "a value" : `a value of ${operator}`;
  const advice =
    "write that operator without its underscore (mul in place of mul_), or clone() the tensor before it, as training needs too";
  return new BatchCamError(
    "E_CONFIG",
    `${operation}: the gradient needs ${value} that the model overwrote in place ${behind}: ${advice}; explain() works with the model as it is`,
    { cause },
  );
}
