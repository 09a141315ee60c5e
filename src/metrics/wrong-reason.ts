import { type Tensor, tidy } from "../tensor/index.ts";
import { expectShapes } from "../tensor/internal.ts";
import { expectPixels } from "./maps.ts";

export interface WrongReasonSummary {
  /** Mean share of a mask's pixels that lie above the threshold, 0 to 1; NaN where no map is left, or where a map holds NaN. */
  score: number;
  /** Mean value of the maps that are not dead. */
  threshold: number;
  /** Number of maps seen, dead ones and those without a mask included. */
  maps: number;
  /** Number of dead maps; they are left out of threshold and score, so report them beside it. */
  dead: number;
  /** Number of other maps whose mask is empty; they have no share, and count for the threshold alone. */
  unmasked: number;
}

/**
 * Wrong-reason score (Friedrich et al., arXiv 2203.03668), gathered batch by batch: how much of what should not matter is lit up.
 *
 *     score = mean over maps of |{p in mask : M_p > t}| / |mask|,  t = mean over maps and pixels of M
 *
 * For maps scaled to [0, 1] by their own minimum and maximum; negative values count as zero. Dead maps, with no positive value, are
 * left out of both means. 0 to 1, lower is better; the score of a map without regard for the mask is the share of its pixels
 * that lie above t, not the mask's share of the area. Its authors print percent, and explain the predicted class. Only values under a
 * mask are kept until the threshold is known.
 */
export class WrongReason {
  #inside: Float64Array[] = []; // of each map that is not dead, its values under the mask
  #sum = 0; // of the maps' means
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
      score: Number.isNaN(threshold) ? Number.NaN : mean, // nothing is above NaN
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
 * The wrong-reason score of one stack of maps: the `summary` of `WrongReason`, which see for the definition.
 *
 * @param maps (N, H, W), in [0, 1]
 * @param masks (N, H, W), true (or not zero) inside
 */
export function wrongReason(maps: Tensor, masks: Tensor): WrongReasonSummary {
  const gathered = new WrongReason();
  gathered.update(maps, masks);
  return gathered.summary();
}
