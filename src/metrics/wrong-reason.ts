import { type Tensor, tidy } from "../tensor/index.ts";
import { expectShapes } from "../tensor/internal.ts";
import { expectPixels } from "./maps.ts";

export interface WrongReasonSummary {
  /** Mean share of a mask's pixels that are above the threshold, 0 to 1; NaN if no map has a mask, or if a map contains NaN. */
  score: number;
  /** Mean value of the maps that are not dead. */
  threshold: number;
  /** Number of maps, including dead ones and those with an empty mask. */
  maps: number;
  /** Number of dead maps. They are excluded from the threshold and the score, so report this number together with the score. */
  dead: number;
  /** Number of maps that are not dead but have an empty mask. They have no share, and only contribute to the threshold. */
  unmasked: number;
}

/**
 * Wrong-reason score: how much of the regions that should not matter is highlighted by the maps, accumulated batch by
 * batch.
 *
 *     score = mean over maps of |{p in mask : M_p > t}| / |mask|,  t = mean over maps and pixels of M
 *
 * Maps must be scaled to [0, 1] by their own minimum and maximum. Negative values count as zero. Dead maps, without a
 * positive value, are excluded from both means. The range is 0 to 1, and lower is better. A map that is independent of
 * the mask scores the share of its pixels above t, which is not the mask's share of the area. The authors report per
 * cent and explain the predicted class. Only the values inside the masks are stored until the threshold is known.
 *
 * Source: Friedrich et al., arXiv 2203.03668.
 */
export class WrongReason {
  #inside: Float64Array[] = []; // values inside the mask, for each map that is not dead
  #sum = 0; // sum of the means of the maps
  #maps = 0;
  #dead = 0;

  /**
   * @param maps (N, H, W), in [0, 1]
   * @param masks (N, H, W), true (or not zero) inside
   */
  update(maps: Tensor, masks: Tensor): void {
    const operation = "WrongReason.update";
    expectShapes(operation, { maps: [maps, "N H W"], masks: [masks, "N H W"] });
    expectPixels(operation, "maps", maps);
    const [, height, width] = maps.sizes as [number, number, number];
    const [values, inside] = tidy(() => {
      const positive = maps.detach().to("float64").clamp(0);
      return [positive.data(), masks.detach().ne(0).data()];
    }) as [Float64Array, Uint8Array];
    const pixels = height * width;
    for (let start = 0; start < values.length; start += pixels) {
      const map = values.subarray(start, start + pixels);
      const mask = inside.subarray(start, start + pixels);
      this.#add(map, mask);
    }
  }

  #add(map: Float64Array, mask: Uint8Array): void {
    const sum = map.reduce((total, value) => total + value, 0);
    this.#maps++;
    if (sum === 0) {
      this.#dead++;
      return;
    }
    this.#sum += sum / map.length;
    this.#inside.push(map.filter((_, pixel) => mask[pixel] !== 0));
  }

  summary(): WrongReasonSummary {
    const threshold = this.#sum / this.#inside.length; // 0 / 0 is NaN
    const masked = this.#inside.filter((values) => values.length > 0);
    const shares = masked.map((values) => values.filter((value) => value > threshold).length / values.length);
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    return {
      score: Number.isNaN(threshold) ? Number.NaN : mean, // because no value compares as above NaN
      threshold,
      maps: this.#maps,
      dead: this.#dead,
      unmasked: this.#inside.length - masked.length,
    };
  }

  reset(): void {
    this.#inside = [];
    this.#sum = 0;
    this.#maps = 0;
    this.#dead = 0;
  }
}

/**
 * The wrong-reason score of one batch of maps: the `summary` of `WrongReason`, which has the definition.
 *
 * @param maps (N, H, W), in [0, 1]
 * @param masks (N, H, W), true (or not zero) inside
 */
export function wrongReason(maps: Tensor, masks: Tensor): WrongReasonSummary {
  const gathered = new WrongReason();
  gathered.update(maps, masks);
  return gathered.summary();
}
