import { optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import type { CrossEntropyOptions, Tensor } from "../tensor/index.ts";
import { crossEntropyLoss, expectShapes, readLabels } from "../tensor/internal.ts";
import { expectFloating, upcastHalf } from "./distance.ts";

/**
 * Cross-entropy of logits (N, C) against class indices (N): `mean_b −Σ_c q_c log softmax_c`, q the one-hot label smoothed
 * to `(1 − ε)·onehot + ε / C`, as in torch. Logits of 16 bits are taken in float32.
 */
export function crossEntropy(
  logits: Tensor,
  labels: Tensor | readonly number[],
  options: CrossEntropyOptions = {},
): Tensor {
  const { N = 0, C = 0 } = expectShapes("crossEntropy", { logits: [logits, "N C"] });
  expectFloating("crossEntropy", "logits", logits);
  if (N === 0) throw new BatchCamError("E_SHAPE", "crossEntropy: logits hold no sample: an empty batch has no loss");
  if (optionsOf("crossEntropy", options).weight)
    expectShapes("crossEntropy", { logits: [logits, "N C"], weight: [options.weight as Tensor, "C"] });
  const { tensor: classes } = readLabels("crossEntropy", labels, { count: N, numClasses: C });
  return crossEntropyLoss(upcastHalf(logits), classes, options);
}
