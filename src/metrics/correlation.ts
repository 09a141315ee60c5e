import { type Tensor, tidy } from "../tensor/index.ts";
import { expectShapes } from "../tensor/internal.ts";
import { averageRanks, holdsNaN, mapRows } from "./maps.ts";

/**
 * Pearson's correlation of two maps, over their pixels, one value for each pair: −1 to 1, NaN where a map is constant or holds
 * NaN.
 *
 * @param a (N, H, W)
 * @param b (N, H, W)
 * @returns (N), float64
 */
export function pearson(a: Tensor, b: Tensor): Tensor {
  expectShapes("pearson", { a: [a, "N H W"], b: [b, "N H W"] });
  return tidy(() => correlation(mapRows("pearson", a), mapRows("pearson", b)));
}

/**
 * Spearman's rank correlation of two maps: Pearson's of the pixels' ranks, equal values sharing the mean of their ranks. Range
 * and NaN as in `pearson`.
 *
 * @param a (N, H, W)
 * @param b (N, H, W)
 * @returns (N), float64
 */
export function spearman(a: Tensor, b: Tensor): Tensor {
  expectShapes("spearman", { a: [a, "N H W"], b: [b, "N H W"] });
  return tidy(() => {
    const [x, y] = [mapRows("spearman", a), mapRows("spearman", b)];
    const broken = holdsNaN(x).logicalOr(holdsNaN(y));
    return correlation(averageRanks(x), averageRanks(y)).maskedFill(broken, Number.NaN);
  });
}

function correlation(x: Tensor, y: Tensor): Tensor {
  const [dx, dy] = [x, y].map((rows) => centred(rows)) as [Tensor, Tensor];
  return dx
    .mul(dy)
    .sum([1])
    .div(dx.norm([1]).mul(dy.norm([1])))
    .clamp(-1, 1);
}

/** Less the mean; exactly zero where all values are equal, whose mean may be rounded. */
function centred(rows: Tensor): Tensor {
  const shifted = rows.sub(rows.narrow(1, 0, 1));
  return shifted.sub(shifted.mean(1, { keepDims: true }));
}
