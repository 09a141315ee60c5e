import { deadMaps } from "../cam/index.ts";
import { BatchCamError } from "../errors.ts";
import { arange, type Tensor, tidy, where, zeros } from "../tensor/index.ts";
import { expectShapes } from "../tensor/internal.ts";

export function expectPixels(operation: string, argument: string, value: Tensor): void {
  if (value.sizes.slice(1).includes(0))
    throw new BatchCamError("E_SHAPE", `${operation}: ${argument} have no pixels, got [${value.shape.join(", ")}]`);
}

/** Flattens maps (N, H, W) to float64 rows (N, H·W), detached from the graph. */
export function mapRows(operation: string, maps: Tensor): Tensor {
  expectShapes(operation, { maps: [maps, "N H W"] });
  expectPixels(operation, "maps", maps);
  return maps.detach().flatten(1).to("float64");
}

/** Flattens maps (N, H, W) and masks of the same size to rows: float64 and bool, both (N, H·W). */
export function mapAndMaskRows(operation: string, maps: Tensor, masks: Tensor): { rows: Tensor; inside: Tensor } {
  expectShapes(operation, { maps: [maps, "N H W"], masks: [masks, "N H W"] });
  return { rows: mapRows(operation, maps), inside: masks.detach().flatten(1).ne(0) };
}

/** Whether each row contains NaN: (N), bool. */
export function holdsNaN(rows: Tensor): Tensor {
  return rows.amax([1]).isnan();
}

/** Whether each row is all zeros: (N), bool. */
export function isDead(rows: Tensor): Tensor {
  return rows.abs().amax([1]).eq(0);
}

/**
 * Rank of each value of (N, P) in its row, int64, from 0 for the largest. Equal values are ranked in the order of their
 * index.
 */
export function descendingRanks(rows: Tensor): Tensor {
  return inverse(rows.argsort(1, { descending: true, stable: true }));
}

/**
 * Rank of each value in its row, from 0 for the largest (`descending`) or the smallest. Equal values are ranked in the
 * order of a random permutation of the pixels, which is the same for both directions.
 *
 * @param keys (N, P), random values whose order is the permutation
 */
export function shuffledRanks(rows: Tensor, keys: Tensor, { descending }: { descending: boolean }): Tensor {
  const permutation = keys.argsort(1);
  const order = rows.gather(1, permutation).argsort(1, { descending, stable: true });
  return inverse(permutation.gather(1, order));
}

/** Rank of each value of (N, P) in its row, float64, from 0 for the smallest. Equal values share the mean of their ranks. */
export function averageRanks(rows: Tensor): Tensor {
  const [count, size] = rows.sizes as [number, number];
  if (count === 0) return rows;
  const order = rows.argsort(1);
  const sorted = rows.gather(1, order);
  const starts = sorted.narrow(1, 1, size - 1).ne(sorted.narrow(1, 0, size - 1)); // (N, P − 1): a new value begins
  const rowStart = arange(count).mul(size).unsqueeze(1); // (N, 1)
  const group = zeros([count, size], { dtype: "int64" });
  group.narrow(1, 1, size - 1).copy_(starts.to("int64").cumsum(1));
  const groups = group.add(rowStart).flatten(); // (N·P): one number for each distinct value of each row
  const ranks = arange(size, undefined, { dtype: "float64" }).expand([count, size]).flatten();
  const total = zeros([count * size], { dtype: "float64" });
  const sums = total.indexAdd(0, groups, ranks);
  const members = total.indexAdd(0, groups, ranks.mul(0).add(1));
  const shared = sums.div(members).indexSelect(0, groups).reshape([count, size]);
  return shared.gather(1, inverse(order));
}

/** The inverse of each row, which is a permutation. */
function inverse(order: Tensor): Tensor {
  return order.argsort(1);
}

/**
 * Share of dead maps, 0 to 1. A map is dead if it is all zeros: the ReLU of the CAM removed everything, or the map was
 * constant before it was normalised. Report this together with the distances L1 and L2, which dead maps often minimise.
 *
 * @param maps (N, H, W)
 */
export function deadShare(maps: Tensor): number {
  expectShapes("deadShare", { maps: [maps, "N H W"] });
  if (maps.numel === 0)
    throw new BatchCamError("E_SHAPE", `deadShare: maps have no values, got [${maps.shape.join(", ")}]`);
  return tidy(() => deadMaps(maps).to("float64").mean().item());
}

export interface DefinedMean {
  /** Mean of the values that are not NaN; NaN if all values are NaN. */
  mean: number;
  /** Number of values that are not NaN. */
  defined: number;
  /** Number of values that are NaN, because of dead maps or empty masks. Report it together with the mean. */
  undefined: number;
}

/**
 * The mean of a metric over the samples for which it is defined, with their number. For a whole data set, concatenate
 * the values of all batches first.
 *
 * @param values (N)
 */
export function definedMean(values: Tensor): DefinedMean {
  const { N } = expectShapes("definedMean", { values: [values, "N"] }) as { N: number };
  return tidy(() => {
    const wide = values.detach().to("float64");
    const missing = wide.isnan();
    const defined = N - missing.to("float64").sum().item();
    return { mean: where(missing, 0, wide).sum().item() / defined, defined, undefined: N - defined };
  });
}
