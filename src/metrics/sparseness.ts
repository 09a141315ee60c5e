import { arange, type Tensor, tidy } from "../tensor/index.ts";
import { isDead, mapRows } from "./maps.ts";

/** Quantus adds this constant to each magnitude. */
const EPS = 1e-7;

/**
 * Sparseness: the Gini index of each map's magnitudes, a = |M| / max|M| + 1e-7 in ascending order,
 *
 *     Σ_i (2i − P − 1) a_i / (P Σ a),   i = 1 … P = H·W.
 *
 * It is 0 for a constant map and approaches 1 for a single bright pixel. The scale of the map does not matter. It is
 * NaN for a map with NaN and for a dead (all-zero) map; Quantus gives 0 for the latter. It agrees with Quantus if
 * Quantus is given one map in each call. With several it divides by the maximum over all of them, so that the 1e-7
 * weighs more in fainter maps.
 *
 * Source: Chalasani et al., Concise explanations of neural networks using adversarial training, 2020.
 *
 * @param maps (N, H, W)
 * @returns (N), float64
 */
export function sparseness(maps: Tensor): Tensor {
  return tidy(() => {
    const rows = mapRows("sparseness", maps);
    const size = rows.sizes[1] as number;
    const magnitude = rows.abs();
    const scaled = magnitude.div(magnitude.amax([1], { keepDims: true })).add(EPS);
    const { values } = scaled.sort(1);
    const weights = arange(1 - size, size, { step: 2, dtype: "float64" }); // 2i − P − 1
    const gini = values
      .mul(weights)
      .sum([1])
      .div(values.sum([1]).mul(size));
    return gini.maskedFill(isDead(rows), Number.NaN);
  });
}
