import { BatchCamError } from "../errors.ts";
import { expectShapes } from "../tensor/expect.ts";
import type { Tensor } from "../tensor/index.ts";

export interface NormalizeOptions {
  /** Added to each map's range; a large one fades weak maps out. */
  eps?: number;
}

/**
 * Scales each map of (N, H, W) to [0, 1]: `(M − min) / (max − min + eps)`. The graph is kept through min and max; among
 * ties their gradient is shared equally. A constant map gives zeros with a zero gradient, never NaN.
 */
export function normalizeMaps(maps: Tensor, { eps = 1e-8 }: NormalizeOptions = {}): Tensor {
  expectShapes("normalizeMaps", { maps: [maps, "N H W"] });
  if (!(eps > 0)) throw new BatchCamError("E_ARGUMENT", `normalizeMaps: eps must be > 0, got ${eps}`);
  const lowest = maps.amin([1, 2], { keepDims: true }); // (N, 1, 1)
  const range = maps.amax([1, 2], { keepDims: true }).sub(lowest);
  // Exact arithmetic gives a constant map no gradient at all; 1 / eps times rounding noise would give it a huge one.
  const varies = range.detach().gt(0).to(maps.dtype);
  const gain = range.add(eps).reciprocal().mul(varies);
  return maps.sub(lowest).mul(gain);
}

/** Which maps of (N, H, W) the ReLU killed entirely: (N), bool. */
export function deadMaps(maps: Tensor): Tensor {
  return maps.detach().abs().amax([1, 2]).eq(0);
}
