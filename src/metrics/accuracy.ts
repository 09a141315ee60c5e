import { BatchCamError } from "../errors.ts";
import { expectShapes } from "../tensor/expect.ts";
import { type Tensor, tidy } from "../tensor/index.ts";
import { readLabels } from "../tensor/labels.ts";

/**
 * Top-1 accuracy: the share, 0 to 1, of samples whose largest logit is the label's. Among tied logits the first class
 * counts as the prediction; a sample with a NaN logit counts as wrong.
 *
 * @param logits (N, C)
 * @param labels (N), class indices
 * @throws E_SHAPE, E_DTYPE, E_ARGUMENT for a label out of range
 */
export function accuracy(logits: Tensor, labels: Tensor | readonly number[]): number {
  const { N, C } = expectShapes("accuracy", { logits: [logits, "N C"] }) as { N: number; C: number };
  if (N === 0) throw new BatchCamError("E_SHAPE", "accuracy: logits hold no sample");
  return tidy(() => {
    const { tensor: classes } = readLabels("accuracy", labels, { count: N, numClasses: C });
    const scores = logits.detach();
    const largest = scores.amax([1]); // NaN where any logit is
    const right = scores.argmax(1).eq(classes).logicalAnd(largest.eq(largest));
    return right.to("float64").mean().item();
  });
}
