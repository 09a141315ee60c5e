import { deadMaps } from "../cam/index.ts";
import { BatchCamError } from "../errors.ts";
import { expectShapes } from "../tensor/expect.ts";
import { type Tensor, tidy } from "../tensor/index.ts";

/**
 * Share of dead maps, 0 to 1: those that are zero everywhere, because the ReLU of the CAM cut all of it off (or, in
 * normalised maps, because the map was constant). Report it beside L1 and L2, which a dead map often wins.
 *
 * @param maps (N, H, W)
 */
export function deadShare(maps: Tensor): number {
  expectShapes("deadShare", { maps: [maps, "N H W"] });
  if (maps.numel === 0)
    throw new BatchCamError("E_SHAPE", `deadShare: maps hold no value, got [${maps.shape.join(", ")}]`);
  return tidy(() => deadMaps(maps).to("float64").mean().item());
}
