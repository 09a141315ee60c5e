import { expectNumber, itemsOf, optionsOf, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { cat, type Tensor, tensor, tidy } from "../tensor/index.ts";
import { ImageDraws, indicesOf, tieKeys } from "./image-draws.ts";
import { expectNoise, type ImputationOptions, imputed } from "./imputation.ts";
import { holdsNaN, mapRows, shuffledRanks } from "./maps.ts";
import { classScores, type Predict, type PredictOptions, readExplained } from "./predict.ts";

export interface RoadOptions extends PredictOptions, ImputationOptions {
  /** Percentiles of the map that are used as thresholds (10, 20 … 90). */
  percentiles?: readonly number[];
  /**
   * The score that is compared: the logit of the class, as in pytorch-grad-cam (default), or its probability
   * (`Confidence.full`).
   */
  score?: "logit" | "probability";
}

export interface Road {
  /** (N, percentiles), float64: score of the image with its most relevant pixels imputed, minus the score of the image. */
  morf: Tensor;
  /** (N, percentiles): the same with the least relevant pixels removed. */
  lerf: Tensor;
  /** (N): mean over the percentiles of (lerf − morf) / 2; higher is better. */
  combined: Tensor;
}

const DECILES = [10, 20, 30, 40, 50, 60, 70, 80, 90] as const;

/**
 * ROAD (remove and debias): how the score of a class changes when the most relevant pixels (MoRF) or the least relevant
 * pixels (LeRF) are replaced by `imputeLinearly`. At percentile q of P pixels, MoRF removes the n pixels with the
 * largest values of the map and LeRF the n with the smallest, where n = P − ⌈q (P − 1) / 100⌉, about 100 − q per cent.
 *
 * Only the ranks of a map's pixels matter, not its scale. Equal values are ordered by a random permutation that depends
 * on the seed and the image and is the same for MoRF and LeRF. So both remove the same pixels of a constant map, such
 * as a dead one. The noise, too, depends only on the seed and the image. A map or an image with NaN gives NaN.
 *
 * For maps without equal values this agrees with ROADCombined of pytorch-grad-cam. That library removes every pixel
 * that equals the threshold, which is the whole image if most of a map is zero, and it rounds 1 − map for LeRF, so that
 * small values become equal.
 *
 * Source: Rong et al., A consistent and efficient evaluation strategy for attribution methods, 2022.
 *
 * @param images (N, C, H, W), normalised
 * @param maps (N, H, W), of the images' size
 * @param labels (N), the class that each map explains
 */
export function road(
  predict: Predict,
  images: Tensor,
  maps: Tensor,
  labels: Tensor | readonly number[],
  options: RoadOptions = {},
): Road {
  const known = ["percentiles", "score", "noise", "seed", "batchSize"] as const;
  const { percentiles: given = DECILES, score = "logit", noise = 0.01, seed = 0 } = optionsOf("road", options, known);
  const percentiles = readPercentiles(given);
  if (score !== "logit" && score !== "probability")
    throw wrongArgument("road: score", '"logit" or "probability"', score);
  expectNoise("road", noise);
  return tidy(() => {
    const explained = readExplained("road", [predict, images, maps, labels], options);
    using draws = new ImageDraws("road", "imputation", { seed, images: explained.images });
    const removedOf = removals(maps, percentiles, tieKeys("road", maps, { seed, images: explained.images }));
    const scores = classScores("road", explained, {
      variants: 1 + 2 * percentiles.length,
      score,
      versionsOf: (samples, variants) =>
        imputed(explained.images.indexSelect(0, samples), removedOf(samples, variants), {
          ...{ noise, draws },
          rows: indicesOf(samples),
        }),
    });
    const broken = holdsNaN(mapRows("road", maps)).unsqueeze(1);
    const changes = scores.sub(scores.narrow(1, 0, 1)).maskedFill(broken, Number.NaN);
    const [morf, lerf] = changes.narrow(1, 1, 2 * percentiles.length).split(percentiles.length, 1) as [Tensor, Tensor];
    return { morf, lerf, combined: lerf.sub(morf).mean(1).div(2) };
  });
}

/**
 * Makes a function that returns the removed pixels, (rows, H, W), of images `samples` in versions `variants`. Version 0
 * removes none; the percentiles of MoRF follow, then those of LeRF.
 */
function removals(
  maps: Tensor,
  percentiles: readonly number[],
  keys: Tensor,
): (samples: Tensor, variants: Tensor) => Tensor {
  const [count, height, width] = maps.sizes as [number, number, number];
  const rows = mapRows("road", maps);
  const ranks = cat([true, false].map((descending) => shuffledRanks(rows, keys, { descending }))); // (2N, P)
  const last = height * width - 1;
  const removed = percentiles.map((q) => height * width - Math.ceil((q * last) / 100));
  const counts = tensor(BigInt64Array.from([0, ...removed, ...removed], BigInt));
  const shifts = [0, ...percentiles.map(() => 0), ...percentiles.map(() => count)];
  const shift = tensor(BigInt64Array.from(shifts, BigInt));
  return (samples, variants) => {
    const own = ranks.indexSelect(0, samples.add(shift.indexSelect(0, variants)));
    return own.lt(counts.indexSelect(0, variants).unsqueeze(1)).reshape([-1, height, width]);
  };
}

function readPercentiles(given: Iterable<number>): readonly number[] {
  const percentiles = itemsOf("road: percentiles", given, "a list of numbers from 0 to 100");
  if (percentiles.length === 0 || percentiles.length > 1000)
    throw new BatchCamError("E_ARGUMENT", `road: percentiles must be 1 to 1000 numbers, got ${percentiles.length}`);
  for (const [index, q] of percentiles.entries())
    expectNumber(`road: percentile ${index}`, q, "be in [0, 100]", (n) => n >= 0 && n <= 100);
  return percentiles;
}
