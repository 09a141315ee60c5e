import { BatchCamError } from "../errors.ts";
import { type Tensor, tidy } from "../tensor/index.ts";
import { expectShapes, readLabels } from "../tensor/internal.ts";

/**
 * Top-1 accuracy: the share of samples, 0 to 1, whose largest logit is that of the label. If logits tie, the class with
 * the lowest index is the prediction. A sample with a NaN logit counts as wrong. A single logit (C = 1) is a binary
 * classifier: the prediction is 1 if its sigmoid exceeds ½, otherwise 0, and labels are 0 or 1.
 *
 * @param logits (N, C)
 * @param labels (N), class indices
 * @throws E_SHAPE, E_DTYPE, or E_ARGUMENT for a label out of range
 */
export function accuracy(logits: Tensor, labels: Tensor | readonly number[]): number {
  const { N, C } = expectShapes("accuracy", { logits: [logits, "N C"] }) as { N: number; C: number };
  if (N === 0) throw new BatchCamError("E_SHAPE", "accuracy: logits have no samples");
  return tidy(() => {
    const { tensor: classes } = readLabels("accuracy", labels, { count: N, numClasses: Math.max(C, 2) });
    const scores = logits.detach();
    const largest = scores.amax([1]); // NaN if any logit is NaN
    const predicted = C === 1 ? scores.squeeze(1).gt(0).to("int64") : scores.argmax(1);
    const right = predicted.eq(classes).logicalAnd(largest.eq(largest));
    return right.to("float64").mean().item();
  });
}
