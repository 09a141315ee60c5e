import { camMaps as fusedMaps } from "../tensor/fused-ops.ts";
import { wantsFused } from "../tensor/fused-switch.ts";
import { interpolate, type Tensor } from "../tensor/index.ts";
import { normalizeMaps } from "./normalize.ts";
import { weightedSum } from "./weighted-sum.ts";

/** Maps (B, H, W) in [0, 1], and what they were before resizing and normalising, (B, h, w). */
export interface SizedMaps {
  maps: Tensor;
  raw: Tensor;
}

/** `normalizeMaps(interpolate(relu(Σ_k α_k · A_k)))`: of A (B, K, h, w) and α (B, K), by one kernel where there is one. */
export function camMaps(
  activations: Tensor,
  alpha: Tensor,
  { size, eps }: { size: readonly [number, number]; eps: number },
): SizedMaps {
  const known = (activations.dtype === "float32" || activations.dtype === "bfloat16") && activations.numel > 0;
  if (known && alpha.dtype === "float32" && eps > 0 && wantsFused())
    return fusedMaps(activations, alpha, { size, eps });
  const raw = weightedSum(activations, alpha).relu();
  return { maps: normalizeMaps(interpolate(raw, { size }), { eps }), raw };
}
