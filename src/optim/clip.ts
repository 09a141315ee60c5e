import { BatchCamError } from "../errors.ts";
import { noGrad, Tensor, tidy } from "../tensor/index.ts";
import { normOfEach, scaleEach } from "../tensor/optimizer-ops.ts";
import type { Parameters } from "./parameters.ts";

function gradientsOf(params: Parameters): Tensor[] {
  return Array.from(params, (item) => (item instanceof Tensor ? item : item[1]).grad).filter((grad) => grad !== null);
}

/** The L2 norm of all gradients together; 0 where there are none, not finite where one is not. */
export function gradNorm(params: Parameters): number {
  return noGrad(() => tidy(() => Math.hypot(...normOfEach(gradientsOf(params)))));
}

/**
 * Scales all gradients in place by maxNorm / (norm + 1e-6) where their joint L2 norm exceeds maxNorm, as torch's
 * `clip_grad_norm_`.
 *
 * @returns the norm before; where it is not finite the gradients are of no use, and the caller must not step.
 */
export function clipGradNorm(params: Parameters, maxNorm: number): number {
  if (!(maxNorm > 0)) throw new BatchCamError("E_ARGUMENT", `clipGradNorm: maxNorm must be > 0, got ${maxNorm}`);
  return noGrad(() =>
    tidy(() => {
      const gradients = gradientsOf(params);
      const norm = Math.hypot(...normOfEach(gradients));
      const factor = maxNorm / (norm + 1e-6);
      if (factor < 1) scaleEach(gradients, factor);
      return norm;
    }),
  );
}
