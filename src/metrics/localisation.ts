import { expectInteger, expectNumber, optionsOf, wrongArgument } from "../arguments.ts";
import { conv2d, type Tensor, tensor, tidy } from "../tensor/index.ts";
import { descendingRanks, holdsNaN, isDead, mapAndMaskRows } from "./maps.ts";

export interface PointingOptions {
  /** Which of several equal maxima is used: the first in row-major order (default), or any of them, as in Quantus. */
  ties?: "first" | "any";
  /** Distance in pixels within which a miss still counts as a hit (0). The paper uses 15 on photographs. */
  radius?: number;
}

/**
 * Pointing game: 1 if the maximum of the map is inside the mask, or within `radius` pixels of it (Euclidean), otherwise
 * 0. It is NaN for an empty mask, for a map with NaN, and for a dead (all-zero) map, which has no maximum;
 * `definedMean` averages over the rest. Difference from Quantus: it counts an empty mask, and a dead map with any mask,
 * as a hit.
 *
 * Source: Zhang et al., Top-down neural attention by excitation backprop, 2016.
 *
 * @param maps (N, H, W)
 * @param masks (N, H, W), true (or not zero) inside
 * @returns (N), float64
 */
export function pointingGame(maps: Tensor, masks: Tensor, options: PointingOptions = {}): Tensor {
  const { ties = "first", radius = 0 } = optionsOf("pointingGame", options, ["ties", "radius"]);
  if (ties !== "first" && ties !== "any") throw wrongArgument("pointingGame: ties", '"first" or "any"', ties);
  expectInteger("pointingGame: radius", radius, 0, 255);
  return tidy(() => {
    const { rows, inside } = mapAndMaskRows("pointingGame", maps, masks);
    const target = radius === 0 ? inside : widened(inside.reshape(maps.shape), radius).flatten(1);
    const highest = rows.eq(rows.amax([1], { keepDims: true }));
    const points = ties === "any" ? highest : descendingRanks(rows).eq(0);
    const hits = points.logicalAnd(target).to("float64").amax([1]);
    return undefinedWhere(hits, [holdsNaN(rows), isDead(rows), isEmpty(inside)]);
  });
}

/** Dilates the mask by a disc: the mask and every pixel within `radius` of it. */
function widened(masks: Tensor, radius: number): Tensor {
  const side = 2 * radius + 1;
  const disc = Float32Array.from({ length: side * side }, (_, i) =>
    Number(((i % side) - radius) ** 2 + (Math.floor(i / side) - radius) ** 2 <= radius ** 2),
  );
  const kernel = tensor(disc, { shape: [1, 1, side, side] });
  return conv2d(masks.to("float32").unsqueeze(1), kernel, null, { padding: radius }).squeeze(1).gt(0.5);
}

/**
 * Relevance rank accuracy: of the |mask| pixels with the largest values, the share that is inside the mask, 0 to 1.
 * Among equal values the pixel with the lower flat index ranks first. NaN as in `pointingGame`. Difference from
 * Quantus: its order of equal values is undefined, and it has an option `abs` for maps with negative values.
 *
 * Source: Arras et al., CLEVR-XAI, 2022.
 *
 * @param maps (N, H, W)
 * @param masks (N, H, W), true (or not zero) inside
 * @returns (N), float64
 */
export function relevanceRankAccuracy(maps: Tensor, masks: Tensor): Tensor {
  return tidy(() => {
    const { rows, inside } = mapAndMaskRows("relevanceRankAccuracy", maps, masks);
    const size = inside.to("int64").sum([1], { keepDims: true }); // (N, 1)
    const found = descendingRanks(rows).lt(size).logicalAnd(inside).to("float64").sum([1]);
    return undefinedWhere(found.div(size.squeeze(1)), [holdsNaN(rows), isDead(rows), isEmpty(inside)]);
  });
}

/**
 * Intersection over union of `map >= threshold` and the mask, 0 to 1. NaN for an empty mask and for a map with NaN; 0
 * for a dead map.
 *
 * @param maps (N, H, W), in [0, 1]
 * @param masks (N, H, W), true (or not zero) inside
 * @returns (N), float64
 */
export function maskIou(maps: Tensor, masks: Tensor, options: { threshold?: number } = {}): Tensor {
  const { threshold = 0.5 } = optionsOf("maskIou", options, ["threshold"]);
  expectNumber("maskIou: threshold", threshold, "be a finite number", Number.isFinite);
  return tidy(() => {
    const { rows, inside } = mapAndMaskRows("maskIou", maps, masks);
    const above = rows.ge(threshold);
    const common = above.logicalAnd(inside).to("float64").sum([1]);
    const union = above.logicalOr(inside).to("float64").sum([1]);
    return undefinedWhere(common.div(union), [holdsNaN(rows), isEmpty(inside)]);
  });
}

function isEmpty(inside: Tensor): Tensor {
  return inside.to("float64").amax([1]).eq(0);
}

function undefinedWhere(values: Tensor, conditions: readonly Tensor[]): Tensor {
  return conditions.reduce((result, condition) => result.maskedFill(condition, Number.NaN), values);
}
