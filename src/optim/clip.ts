import { expectNumber, itemsOf } from "../arguments.ts";
import { noGrad, type Tensor, tidy } from "../tensor/index.ts";
import { handleOf, normOfEach, scaleEach } from "../tensor/internal.ts";
import type { Parameters } from "./parameter-groups.ts";

function gradientsOf(operation: string, params: Parameters): Tensor[] {
  const items = itemsOf<Tensor | readonly [string, Tensor]>(
    `${operation}: params`,
    params,
    "tensors or [name, tensor] pairs",
  );
  return items.flatMap((item) => {
    const tensor = Array.isArray(item) ? item[1] : item;
    handleOf(tensor, `${operation}: params`);
    return tensor.grad ?? [];
  });
}

/** The L2 norm of all gradients together; 0 where there are none, not finite where one is not. */
export function gradNorm(params: Parameters): number {
  return noGrad(() => tidy(() => Math.hypot(...normOfEach(gradientsOf("gradNorm", params)))));
}

/**
 * Scales all gradients in place by maxNorm / (norm + 1e-6) where their joint L2 norm exceeds maxNorm, as torch's
 * `clip_grad_norm_`.
 *
 * @returns the norm before; where it is not finite the gradients are of no use, and the caller must not step.
 */
export function clipGradNorm(params: Parameters, maxNorm: number): number {
  expectNumber("clipGradNorm: maxNorm", maxNorm, "be > 0", (n) => n > 0);
  return noGrad(() =>
    tidy(() => {
      const gradients = gradientsOf("clipGradNorm", params);
      const norm = Math.hypot(...normOfEach(gradients));
      const factor = maxNorm / (norm + 1e-6);
      if (factor < 1) scaleEach(gradients, factor);
      return norm;
    }),
  );
}
