import type { Module } from "../../nn/index.ts";
import { cat, grad, type Tensor, tidy } from "../../tensor/index.ts";
import type { TermBalance } from "../run/events.ts";
import type { Terms } from "./objective.ts";

/**
 * The size of each term of a step's loss and of its gradient. RRR's rule of thumb is that the terms of a guided loss are of similar size
 * early on; a cosine far below 0 shows that a term works against the cross-entropy. It keeps the graph for the backward pass of the step.
 *
 * @param weights the weights of the terms at this step, including the warm-up
 */
export function lossBalance(model: Module, terms: Terms, weights: Readonly<Record<string, number>>): TermBalance[] {
  const parameters = model.parameters().filter(({ requiresGrad }) => requiresGrad);
  return tidy(() => {
    const flat = (term: Tensor): Tensor =>
      cat(grad(term, parameters, { retainGraph: true, allowUnused: true }).map((g) => g.to("float64").flatten()));
    const base = flat(terms.crossEntropy);
    const baseNorm = base.norm().item();
    const named = { crossEntropy: terms.crossEntropy, ...guidanceTerms(terms) };
    return Object.entries(named).flatMap(([term, value]): TermBalance[] => {
      if (value === null) return [];
      const weight = weights[term] ?? 1;
      const direction = value === terms.crossEntropy ? base : flat(value);
      const norm = direction.norm().item();
      const cosine = norm * baseNorm > 0 ? direction.dot(base).item() / (norm * baseNorm) : null;
      return [{ term, weight, value: value.item(), gradNorm: weight * norm, cosine }];
    });
  });
}

const guidanceTerms = ({ prototypeLoss, batchCamLoss, baselineLoss, extra }: Terms) => ({
  prototypeLoss,
  batchCamLoss,
  baselineLoss,
  ...extra,
});
