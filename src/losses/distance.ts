import { BatchCamError } from "../errors.ts";
import type { Tensor } from "../tensor/index.ts";
import { ssimDistance } from "./ssim.ts";

/** A distance of two stacks of N images: one value for each of N. */
export type Distance = (x: Tensor, y: Tensor) => Tensor;
export type DistanceName = "l1" | "l2" | "ssim";

/** Mean absolute difference `mean |x − y|` over the pixels of each image (N, …): (N). */
export function l1(x: Tensor, y: Tensor): Tensor {
  return x.sub(y).abs().flatten(1).mean(1);
}

/** Mean squared difference `mean (x − y)²` over the pixels of each image (N, …): (N). */
export function l2(x: Tensor, y: Tensor): Tensor {
  return x.sub(y).square().flatten(1).mean(1);
}

const DISTANCES: Readonly<Record<DistanceName, Distance>> = { l1, l2, ssim: (x, y) => ssimDistance(x, y) };

/** A distance by name, or a function of the caller's own. */
export function distanceOf(distance: DistanceName | Distance): Distance {
  if (typeof distance === "function") return distance;
  const found = Object.hasOwn(DISTANCES, distance) ? DISTANCES[distance] : undefined;
  if (found === undefined) {
    throw new BatchCamError(
      "E_ARGUMENT",
      `distance must be l1, l2, ssim or a function, got ${JSON.stringify(distance)}`,
    );
  }
  return found;
}
