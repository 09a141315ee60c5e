import type { Tensor } from "../tensor/index.ts";

/**
 * Probabilities (N, C) of logits (N, C): softmax over the classes. Of a single logit it is the sigmoid: softmax over one class is 1
 * whatever the logit is.
 */
export function probabilitiesOf(logits: Tensor): Tensor {
  return logits.sizes[1] === 1 ? logits.sigmoid() : logits.softmax(1);
}
