import { expectNumber, itemsOf, optionsOf, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { cat, full, stack, type Tensor, tensor, tidy } from "../tensor/index.ts";
import { OwnGenerator } from "../tensor/own-generator.ts";
import { expectNoise, type ImputationOptions, imputed } from "./imputation.ts";
import { holdsNaN, mapRows, percentilesOf } from "./maps.ts";
import { classScores, type Predict, type PredictOptions, readExplained } from "./predict.ts";

export interface RoadOptions extends PredictOptions, ImputationOptions {
  /** Percentiles of the map that are thresholds; 10, 20 … 90. */
  percentiles?: readonly number[];
  /** What is compared: the class's logit, as pytorch-grad-cam does by default, or its softmax probability. */
  score?: "logit" | "probability";
}

export interface Road {
  /** (N, percentiles), float64: score of the imputed image less that of the image, the most relevant pixels removed. */
  morf: Tensor;
  /** (N, percentiles): the same with the least relevant pixels removed. */
  lerf: Tensor;
  /** (N): mean over the percentiles of (lerf − morf) / 2; higher is better. */
  combined: Tensor;
}

const DECILES = [10, 20, 30, 40, 50, 60, 70, 80, 90] as const;

/**
 * ROAD, remove and debias: how the score of a class changes when the pixels that matter most (MoRF), or least (LeRF), are
 * removed by `imputeLinearly`. MoRF removes the pixels at or above the q-th percentile of the map, LeRF those at or above the
 * q-th percentile of 1 − map: the removed share is about 100 − q per cent. Percentiles interpolate linearly, as numpy's.
 *
 * Agrees with ROADCombined of pytorch-grad-cam. A constant map, as a dead one is, has all its pixels removed in both orders,
 * which leaves an image of zeros and noise; in that library too, unless its solver finds the system singular and gives NaN. A
 * map or an image with NaN gives NaN.
 *
 * Rong et al., A consistent and efficient evaluation strategy for attribution methods, 2022.
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
  const { percentiles: given = DECILES, score = "logit", noise = 0.01, seed = 0 } = optionsOf("road", options);
  const percentiles = readPercentiles(given);
  if (score !== "logit" && score !== "probability")
    throw wrongArgument("road: score", '"logit" or "probability"', score);
  expectNoise("road", noise);
  using generator = new OwnGenerator("road", seed);
  return tidy(() => {
    const explained = readExplained("road", [predict, images, maps, labels], options);
    const removedOf = removals(maps, percentiles);
    const scores = classScores("road", explained, {
      variants: 1 + 2 * percentiles.length,
      score,
      versionsOf: (samples, variants) =>
        imputed(explained.images.indexSelect(0, samples), removedOf(samples, variants), { noise, generator }),
    });
    const broken = holdsNaN(mapRows("road", maps)).unsqueeze(1);
    const changes = scores.sub(scores.narrow(1, 0, 1)).maskedFill(broken, Number.NaN);
    const [morf, lerf] = changes.narrow(1, 1, 2 * percentiles.length).split(percentiles.length, 1) as [Tensor, Tensor];
    return { morf, lerf, combined: lerf.sub(morf).mean(1).div(2) };
  });
}

/**
 * Which pixels are removed, (rows, H, W), for images `samples` in version `variants`: none in version 0, then the percentiles of
 * MoRF, then those of LeRF.
 */
function removals(maps: Tensor, percentiles: readonly number[]): (samples: Tensor, variants: Tensor) => Tensor {
  const [count, height, width] = maps.sizes as [number, number, number];
  const own = maps.detach().flatten(1);
  const single = own.dtype === "float64" ? own : own.to("float32");
  // 1 − map is rounded in the map's own precision: in a wider one, pixels that tie in pytorch-grad-cam would not.
  const relevance = [single, single.neg().add(1)].map((rows) => rows.to("float64")); // (N, H·W) each
  const never = full([count, 1], Number.POSITIVE_INFINITY, { dtype: "float64" });
  const thresholds = cat([never, ...relevance.map((rows) => percentilesOf(rows, percentiles))], 1);
  const both = stack(relevance).flatten(0, 1); // (2N, H·W)
  const variantCount = 1 + 2 * percentiles.length;
  const shift = Array.from({ length: variantCount }, (_, variant) => (variant > percentiles.length ? count : 0));
  const shifts = tensor(BigInt64Array.from(shift, BigInt));
  return (samples, variants) => {
    const rows = both.indexSelect(0, samples.add(shifts.indexSelect(0, variants)));
    const threshold = thresholds.flatten().indexSelect(0, samples.mul(variantCount).add(variants));
    return rows.ge(threshold.unsqueeze(1)).reshape([-1, height, width]);
  };
}

function readPercentiles(given: Iterable<number>): readonly number[] {
  const percentiles = itemsOf("road: percentiles", given, "a list of numbers from 0 to 100");
  if (percentiles.length === 0 || percentiles.length > 1000)
    throw new BatchCamError("E_ARGUMENT", `road: percentiles must be 1 to 1000 numbers, got ${percentiles.length}`);
  for (const [index, q] of percentiles.entries())
    expectNumber(`road: percentile ${index}`, q, "lie in [0, 100]", (n) => n >= 0 && n <= 100);
  return percentiles;
}
