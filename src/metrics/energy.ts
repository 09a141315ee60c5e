import { describeValue, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { type Tensor, tidy, where } from "../tensor/index.ts";
import { expectShapes, isTensor } from "../tensor/internal.ts";

/** Default threshold: a brighter pixel of an image in [0, 1] counts as foreground. */
const FOREGROUND = 0.1;

/**
 * If the foreground is more than this share of an image, it does not locate the object. This happens with photographs,
 * which have no dark background.
 */
export const MOST_FOREGROUND = 0.8;

/**
 * The foreground of images in [0, 1] (not normalised): the pixels above a threshold in any channel.
 *
 * @param images (N, H, W) or (N, C, H, W)
 * @returns (N, H, W), bool
 */
export function foregroundMask(images: Tensor, options: { threshold?: number } = {}): Tensor {
  const { threshold = FOREGROUND } = optionsOf("foregroundMask", options, ["threshold"]);
  if (!Number.isFinite(threshold)) {
    throw new BatchCamError(
      "E_ARGUMENT",
      `foregroundMask: threshold must be a number, got ${describeValue(threshold)}`,
    );
  }
  const channels = isTensor(images) && !images.isDisposed && images.ndim === 4;
  expectShapes("foregroundMask", { images: [images, channels ? "N C H W" : "N H W"] });
  return tidy(() => (channels ? images.detach().amax([1]) : images.detach()).gt(threshold));
}

/**
 * Energy in mask: the share of each map's sum that is inside a mask, Σ_mask M / Σ M, 0 to 1. Negative values count as
 * zero. A random map scores the mask's share of the area. An empty mask gives 0 (NaN in Quantus). A map without a
 * positive value (a dead map) gives NaN, as does a map with NaN.
 *
 * For maps without negative values this equals Quantus' "relevance mass accuracy" and "attribution localisation". For
 * other maps these differ: the first subtracts negative values, and the second takes absolute values unless it is
 * called with `abs=False, positive_attributions=True`.
 *
 * @param maps (N, H, W)
 * @param masks (N, H, W), true (or not zero) inside
 * @returns (N), float64
 */
export function energyInMask(maps: Tensor, masks: Tensor): Tensor {
  expectShapes("energyInMask", { maps: [maps, "N H W"], masks: [masks, "N H W"] });
  return tidy(() => {
    const { inside, total } = energies(maps, masks);
    return inside.div(total);
  });
}

function energies(maps: Tensor, masks: Tensor): { inside: Tensor; total: Tensor } {
  const positive = maps.detach().to("float64").clamp(0);
  const inside = where(masks.ne(0), positive, 0).sum([1, 2]);
  return { inside, total: positive.sum([1, 2]) };
}

export interface EnergySummary {
  /** Mean share over the maps that are not dead; NaN if all maps are dead, or if a map contains NaN. */
  mean: number;
  /** Number of maps, including dead ones. */
  maps: number;
  /** Number of dead maps. They have no share and are excluded from the mean, so report this number together with the mean. */
  dead: number;
}

/** The mean of `energyInMask` over a data set, accumulated batch by batch. */
export class EnergyInMask {
  #sum = 0;
  #maps = 0;
  #dead = 0;

  /** Adds a batch; the arguments are those of `energyInMask`. */
  update(maps: Tensor, masks: Tensor): void {
    expectShapes("EnergyInMask.update", { maps: [maps, "N H W"], masks: [masks, "N H W"] });
    const [inside, total] = tidy(() => {
      const energy = energies(maps, masks);
      return [energy.inside.data(), energy.total.data()];
    }) as [Float64Array, Float64Array];
    for (const [sample, energy] of total.entries()) {
      this.#maps++;
      if (energy === 0) this.#dead++;
      else this.#sum += (inside[sample] as number) / energy;
    }
  }

  summary(): EnergySummary {
    return { mean: this.#sum / (this.#maps - this.#dead), maps: this.#maps, dead: this.#dead };
  }

  reset(): void {
    this.#sum = 0;
    this.#maps = 0;
    this.#dead = 0;
  }
}
