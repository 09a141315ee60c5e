import { expectShapes } from "../tensor/expect.ts";
import type { Tensor } from "../tensor/index.ts";
import { readLabels } from "../tensor/labels.ts";
import { type Distance, type DistanceName, distanceOf } from "./distance.ts";

/**
 * Prototype Loss: the mean distance of each map to its class's global average, `mean_b d(M_b, P_{y_b})`.
 *
 * @param maps M (B, H, W), normalised to [0, 1]
 * @param labels y (B)
 * @param prototypes P (C, H, W) in [0, 1]; they carry no gradient
 * @returns a scalar; arXiv 2510.00664
 */
export function prototypeLoss(
  maps: Tensor,
  labels: Tensor | readonly number[],
  prototypes: Tensor,
  { distance = "ssim" }: { distance?: DistanceName | Distance } = {},
): Tensor {
  const { B, C } = expectShapes("prototypeLoss", { maps: [maps, "B H W"], prototypes: [prototypes, "C H W"] }) as {
    B: number;
    C: number;
  };
  const { tensor: classes } = readLabels("prototypeLoss", labels, { count: B, numClasses: C });
  const own = prototypes.detach().indexSelect(0, classes); // (B, H, W)
  return distanceOf(distance)(maps, own).mean();
}
