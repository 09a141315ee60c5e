import type { Tensor } from "../tensor/index.ts";
import { principalComponent } from "./eigen.ts";
import type { Terms } from "./gradient-methods.ts";
import { weightedSum } from "./weighted-sum.ts";

/** A layer's signed map (B, h, w): the sum of its terms over the channels, or their first principal component. */
export function reduceTerms(activations: Tensor, terms: Terms, project: boolean): Tensor {
  if (project) {
    const summands =
      "summands" in terms
        ? terms.summands
        : activations.mul(terms.weights.to(activations.dtype).unsqueeze(2).unsqueeze(3));
    return principalComponent(summands);
  }
  return "summands" in terms ? terms.summands.sum([1]) : weightedSum(activations, terms.weights.to(activations.dtype));
}
