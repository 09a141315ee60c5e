import type { Tensor } from "../tensor/index.ts";
import { principalComponent } from "./eigen.ts";
import type { Terms } from "./gradient-methods.ts";
import { weightedSum } from "./weighted-sum.ts";

/**
 * A layer's signed map (B, h, w): the sum of its terms over the channels, or their first principal component. Of weights the map is
 * float64: each sample's weights are divided by the largest of them, so that no product leaves float32's range, and the map is
 * multiplied by it again.
 */
export function reduceTerms(activations: Tensor, terms: Terms, project: boolean): Tensor {
  if ("summands" in terms) return project ? principalComponent(terms.summands) : terms.summands.sum([1]);
  const exact = terms.weights.to("float64");
  const largest = exact.detach().abs().amax([1], { keepDims: true }); // (B, 1)
  const scale = largest.maskedFill(largest.eq(0), 1);
  const weights = exact.div(scale).to(activations.dtype);
  const map = project
    ? principalComponent(activations.mul(weights.unsqueeze(2).unsqueeze(3)))
    : weightedSum(activations, weights);
  return map.to("float64").mul(scale.unsqueeze(2));
}
