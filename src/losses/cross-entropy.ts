import { BatchCamError } from "../errors.ts";
import { expectShapes } from "../tensor/expect.ts";
import type { Tensor } from "../tensor/index.ts";
import { readLabels } from "../tensor/labels.ts";
import { type CrossEntropyOptions, crossEntropyLoss } from "../tensor/layers.ts";

/**
 * Cross-entropy of logits (N, C) against class indices (N): `mean_b −Σ_c q_c log softmax_c`, q the one-hot label smoothed
 * to `(1 − ε)·onehot + ε / C`, as in torch.
 */
export function crossEntropy(
  logits: Tensor,
  labels: Tensor | readonly number[],
  options: CrossEntropyOptions = {},
): Tensor {
  const { N, C } = expectShapes("crossEntropy", { logits: [logits, "N C"] }) as { N: number; C: number };
  if (N === 0) throw new BatchCamError("E_SHAPE", "crossEntropy: the batch is empty");
  const { tensor: classes } = readLabels("crossEntropy", labels, { count: N, numClasses: C });
  return crossEntropyLoss(logits, classes, options);
}
