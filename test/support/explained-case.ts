import type { Predict } from "../../src/metrics/index.ts";
import type { Tensor } from "../../src/tensor/index.ts";
import { type Fixture, fixture } from "./fixtures.ts";
import { type SmallCNN, smallCnnOf } from "./small-cnn.ts";

export interface ExplainedCase {
  reference: Fixture;
  model: SmallCNN;
  predict: Predict;
  images: Tensor;
  maps: Tensor;
  labels: Tensor;
  masks: Tensor;
}

/** The fixture `metrics_explanation`: four images, their maps, and a small CNN in evaluation mode. */
export function explainedCase(): ExplainedCase {
  const reference = fixture("metrics_explanation");
  const model = smallCnnOf(reference);
  model.eval();
  return {
    reference,
    model,
    predict: (images) => model.forward(images),
    images: reference.tensor("input/x"),
    maps: reference.tensor("input/saliency"),
    labels: reference.tensor("input/y"),
    masks: reference.tensor("input/mask"),
  };
}

/** A model of linear logits (N, C): Σ over all values of image · weight_c, weights (C, channels, H, W). */
export function linearModel(weights: Tensor): Predict {
  return (images) => images.flatten(1).matmul(weights.flatten(1).t());
}
