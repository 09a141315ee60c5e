import { describeValue, expectBoolean, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { expectShapes } from "../tensor/expect.ts";
import type { Tensor } from "../tensor/index.ts";
import { single } from "./single.ts";

export interface NormalizeOptions {
  /** Added to each map's range; a large one fades weak maps out. */
  eps?: number;
  /**
   * Whether eps is a share of the map's own range (false): `(M − min) / ((max − min) (1 + eps))`, so that a map and any multiple of
   * it, however small, give the same.
   */
  relative?: boolean;
}

/**
 * Scales each map of (N, H, W) to [0, 1]: `(M − min) / (max − min + eps)`. The graph is kept through min and max; among
 * ties their gradient is shared equally. A constant map gives zeros with a zero gradient, never NaN. 16-bit maps come out
 * in float32.
 */
export function normalizeMaps(maps: Tensor, options: NormalizeOptions = {}): Tensor {
  const { eps = 1e-8, relative = false } = optionsOf("normalizeMaps", options, ["eps", "relative"]);
  expectMaps("normalizeMaps", maps);
  if (!(Number.isFinite(eps) && eps > 0)) {
    throw new BatchCamError("E_ARGUMENT", `normalizeMaps: eps must be a number > 0, got ${describeValue(eps)}`);
  }
  expectBoolean("normalizeMaps: relative", relative);
  if (!maps.dtype.includes("float")) {
    throw new BatchCamError("E_DTYPE", `normalizeMaps: maps must be of floating point, got ${maps.dtype}`);
  }
  const wide = single(maps);
  const lowest = wide.amin([1, 2], { keepDims: true }); // (N, 1, 1)
  const range = wide.amax([1, 2], { keepDims: true }).sub(lowest);
  // Exact arithmetic gives a constant map no gradient at all; 1 / eps times rounding noise would give it a huge one.
  const constant = range.detach().eq(0);
  const varies = constant.logicalNot().to(wide.dtype);
  const shifted = wide.sub(lowest);
  // The reciprocal of a range alone, without an eps, may overflow: there the map is divided.
  if (relative) return shifted.div(range.mul(1 + eps).maskedFill(constant, 1)).mul(varies);
  return shifted.mul(range.add(eps).reciprocal().mul(varies));
}

/** Which maps of (N, H, W) the ReLU killed entirely: (N), bool. */
export function deadMaps(maps: Tensor): Tensor {
  expectMaps("deadMaps", maps);
  return maps.detach().abs().amax([1, 2]).eq(0);
}

function expectMaps(operation: string, maps: Tensor): void {
  const { H, W } = expectShapes(operation, { maps: [maps, "N H W"] });
  if (H === 0 || W === 0) {
    throw new BatchCamError("E_SHAPE", `${operation}: maps have no pixel, got [${maps.shape.join(", ")}]`);
  }
}
