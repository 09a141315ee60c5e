import { describeValue, expectInteger } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { Tensor, tensor } from "../tensor/index.ts";
import { isTensor, readLabels } from "../tensor/internal.ts";

/**
 * What maps explain, sample by sample:
 * - `"prediction"`: the class with the largest logit; `{ kth: k }`: the k-th most probable class, 1 being the prediction;
 * - a class for every sample: an integer tensor (B) or an array of B numbers, or one number for all of them;
 * - a function of logits (B, C) that gives scores (B), each of its own row: `(logits) => logits.logSoftmax(1).select(1, 3)`. It
 *   always gets the rows of the whole batch in their order, once for every copy, path point or removed channel that a method
 *   scores, whatever the chunks of the forward passes are;
 * - `"all"`: every class in turn; maps are (B, C, H, W).
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

/** One score for each sample, of which maps are made. */
export interface Target {
  /** (B), int64: the class of each sample; null where a function scores them. */
  readonly classes: Tensor | null;
  /** Scores (B) of logits (B, C), the rows of the whole batch in their order. */
  score(logits: Tensor): Tensor;
}

/** The target of classes (B), int64. */
export function classTarget(classes: Tensor): Target {
  return { classes, score: (logits) => logits.gather(1, classes.unsqueeze(1)).squeeze(1) };
}

/**
 * Reads targets against the logits (B, C) of the batch that they belong to.
 *
 * @returns one target, or with "all" one for each class
 * @throws E_SHAPE where their number is not B; E_ARGUMENT for a class or a rank out of range, or what is no target
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
    const scores = fn(logits.clone()); // which it may write to
    const count = logits.sizes[0] as number;
    if (scores instanceof Tensor && ["", "1"].includes(scores.sizes.slice(1).join()) && scores.sizes[0] === count) {
      if (scores.dtype.includes("float")) return scores.reshape([count]); // also of a column [B, 1], as `gather` gives it
      const problem = `scores of floating point, got ${scores.dtype}`;
      throw new BatchCamError("E_DTYPE", `${operation}: the targets' function must give ${problem}`);
    }
    const got = scores instanceof Tensor ? `[${scores.shape.join(", ")}]` : describeValue(scores);
    throw new BatchCamError("E_SHAPE", `${operation}: the targets' function must give scores [N=${count}], got ${got}`);
  };
}
