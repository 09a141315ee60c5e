import { type Tensor, tidy } from "../tensor/index.ts";
import { expectShapes } from "../tensor/internal.ts";
import { averageRanks, holdsNaN, mapRows } from "./maps.ts";

/**
 * Pearson's correlation of the pixels of two maps, for each pair: −1 to 1. It is NaN if a map is constant or contains
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
 * Spearman's rank correlation of two maps: Pearson's correlation of the ranks of their pixels, with equal values given
 * the mean of their ranks. The range and NaN are as in `pearson`.
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

/**
 * Subtracts the mean of each row. The first value is subtracted before, so that a constant row gives exactly zero
 * although its mean may be rounded.
 */
function centred(rows: Tensor): Tensor {
  const shifted = rows.sub(rows.narrow(1, 0, 1));
  return shifted.sub(shifted.mean(1, { keepDims: true }));
}
