import { optionsOf } from "../arguments.ts";
import { expectShapes } from "../tensor/expect.ts";
import type { Tensor } from "../tensor/index.ts";
import { readLabels } from "../tensor/labels.ts";
import type { DistanceName } from "./description.ts";
import { type Distance, distanceOf, meanDistance } from "./distance.ts";
import { expectFloating, expectMaps, upcastHalf } from "./images.ts";

/**
 * Prototype Loss: the mean distance of each map to its class's global average, `mean_b d(M_b, P_{y_b})`.
 *
 * @param maps M (B, H, W), normalised to [0, 1]
 * @param labels y (B)
 * @param prototypes P (C, H, W) in [0, 1]; they carry no gradient
 * @returns a scalar, float32 also under autocast; arXiv 2510.00664
 * @throws E_SHAPE, also for an empty batch; E_DTYPE; E_ARGUMENT for a label out of range or an unknown distance
 */
export function prototypeLoss(
  maps: Tensor,
  labels: Tensor | readonly number[],
  prototypes: Tensor,
  options: { distance?: DistanceName | Distance } = {},
): Tensor {
  const { distance = "ssim" } = optionsOf("prototypeLoss", options, ["distance"]);
  const of = distanceOf(distance, "prototypeLoss");
  const { B = 0, C = 0 } = expectShapes("prototypeLoss", { maps: [maps, "B H W"], prototypes: [prototypes, "C H W"] });
  expectMaps("prototypeLoss", maps);
  expectFloating("prototypeLoss", "prototypes", prototypes);
  const { tensor: classes } = readLabels("prototypeLoss", labels, { count: B, numClasses: C });
  const own = upcastHalf(prototypes.detach()).indexSelect(0, classes); // (B, H, W)
  return meanDistance("prototypeLoss", of, [upcastHalf(maps), own]);
}
