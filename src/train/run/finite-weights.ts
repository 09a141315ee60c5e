import { BatchCamError } from "../../errors.ts";
import type { Module } from "../../nn/index.ts";
import { noGrad, type Tensor, tidy } from "../../tensor/index.ts";

/**
 * Throws E_DATA if a weight that a new run starts from is not finite. No option of the training can help then, and the run would end at
 * its first step.
 *
 * @param source the file of the weights, or what else they belong to
 */
export function expectFiniteWeights(model: Module, source: string): void {
  const name = tidy(() => [...model.stateDict()].find(([, tensor]) => !hasFiniteValues(tensor))?.[0]);
  if (name === undefined) return;
  throw new BatchCamError(
    "E_DATA",
    `train: ${source}: ${name} has values that are NaN or infinite, so that no loss can be computed: start from weights that are finite`,
  );
}

function hasFiniteValues(tensor: Tensor): boolean {
  if (tensor.numel === 0 || !tensor.dtype.includes("float")) return true;
  return noGrad(() => Number.isFinite(tensor.detach().abs().max().item()));
}
