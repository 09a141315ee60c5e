import { describeValue, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { type Tensor, tidy, where } from "../tensor/index.ts";
import { expectShapes, isTensor } from "../tensor/internal.ts";

/** Threshold above which a pixel of an image in [0, 1] counts as foreground. */
const FOREGROUND = 0.1;

/** A foreground of more than this share of an image says nothing of where its object is: photographs have no dark background. */
export const MOST_FOREGROUND = 0.8;

/**
 * Which pixels of images in [0, 1], before normalisation, belong to the foreground: `image > threshold`, in any channel.
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
 * Energy in mask: the share of each map's sum that lies inside a mask, `Σ_mask M / Σ M`, 0 to 1, negative values counting as
 * zero. For maps that have none this is Quantus' "relevance mass accuracy", where they would be subtracted, and its "attribution
 * localisation", which takes magnitudes unless it is told `abs=False, positive_attributions=True`. Chance level is the mask's
 * share of the area. An empty mask gives 0 (NaN in Quantus); a map with no positive value (dead) gives NaN, as does one with NaN.
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
  /** Mean share over the maps that are not dead; NaN where there is none, or where a map holds NaN. */
  mean: number;
  /** Number of maps seen, dead ones included. */
  maps: number;
  /** Number of dead maps; they have no share and are left out of the mean, so report them beside it. */
  dead: number;
}

/** The mean of `energyInMask` over a split, gathered batch by batch. */
export class EnergyInMask {
  #sum = 0;
  #maps = 0;
  #dead = 0;

  /** As `energyInMask`. */
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
