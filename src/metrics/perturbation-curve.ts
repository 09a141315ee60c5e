import { callSync, expectInteger, optionsOf, wrongArgument } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { type Tensor, tensor, tidy, where, zerosLike } from "../tensor/index.ts";
import { expectTensor } from "../tensor/internal.ts";
import { tieKeys } from "./image-draws.ts";
import { descendingRanks, holdsNaN, mapRows, shuffledRanks } from "./maps.ts";
import { classScores, type Predict, type PredictOptions, readExplained } from "./predict.ts";

/** The values of replaced pixels: zero, a tensor, or a function that makes them from the images, such as a blur. */
export type Baseline = "zero" | Tensor | ((images: Tensor) => Tensor);

export interface CurveOptions extends PredictOptions {
  /** Number of steps T between the image and the baseline (20). */
  steps?: number;
  /**
   * "zero" (default), which is the mean colour of normalised images; a tensor (N, C, H, W) or one that broadcasts to
   * it; or a function.
   */
  baseline?: Baseline;
  /**
   * The order of equal values. "first" (default) replaces the lower flat index first, as a stable sort does, which
   * favours the upper left. "random" uses a random permutation that depends only on the seed and the image.
   */
  ties?: "first" | "random";
  /** Seed of the random order (0). */
  seed?: number;
}

export interface PerturbationCurve {
  /** (N, T + 1), float64: probability of the class after each step, starting with step 0. */
  curve: Tensor;
  /** (N), float64, 0 to 1: area under the curve by the trapezoidal rule, Σ (p_s + p_{s+1}) / 2T. */
  auc: Tensor;
}

/**
 * Deletion: the probability of a class while the pixels of an image are replaced by the baseline, the most salient
 * first. A lower area is better. After step s of T the first ⌊H·W·s/T⌋ pixels are replaced, in every channel. Only the
 * order of a map's values matters, not their scale. Equal values are replaced in the order that `ties` gives, so by
 * default a dead map is scanned from the upper left. A map with NaN gives NaN.
 *
 * torch-cam's metric has the same area if T divides H·W. Otherwise it replaces ⌈H·W/T⌉ pixels in each step, and fewer
 * in the last.
 *
 * Source: Petsiuk et al., RISE, 2018.
 *
 * @param images (N, C, H, W), normalised
 * @param maps (N, H, W), of the images' size
 * @param labels (N), the class that each map explains
 */
export function deletionCurve(
  predict: Predict,
  images: Tensor,
  maps: Tensor,
  labels: Tensor | readonly number[],
  options: CurveOptions = {},
): PerturbationCurve {
  return curveOf("deletionCurve", [predict, images, maps, labels], options);
}

/**
 * Insertion: the probability of a class while the pixels of the baseline are replaced by those of the image, the most
 * salient first. The last point of the curve is the probability for the image itself. A higher area is better. The
 * arguments are those of `deletionCurve`.
 */
export function insertionCurve(
  predict: Predict,
  images: Tensor,
  maps: Tensor,
  labels: Tensor | readonly number[],
  options: CurveOptions = {},
): PerturbationCurve {
  return curveOf("insertionCurve", [predict, images, maps, labels], options);
}

function curveOf(
  operation: "deletionCurve" | "insertionCurve",
  given: readonly [Predict, Tensor, Tensor, Tensor | readonly number[]],
  options: CurveOptions,
): PerturbationCurve {
  const known = ["steps", "baseline", "ties", "seed", "batchSize"] as const;
  const { steps = 20, baseline = "zero", ties = "first", seed = 0 } = optionsOf(operation, options, known);
  if (ties !== "first" && ties !== "random") throw wrongArgument(`${operation}: ties`, '"first" or "random"', ties);
  expectInteger(`${operation}: seed`, seed, 0);
  expectInteger(`${operation}: steps`, steps, 1, 65_536);
  return tidy(() => {
    const explained = readExplained(operation, given, options);
    const { images } = explained;
    const [, , height, width] = images.sizes as [number, number, number, number];
    const other = baselineOf(operation, baseline, images);
    const [from, to] = operation === "deletionCurve" ? [images, other] : [other, images];
    const rows = mapRows(operation, given[2]);
    const order =
      ties === "first"
        ? descendingRanks(rows)
        : shuffledRanks(rows, tieKeys(operation, rows, { seed, images }), { descending: true });
    const ranks = order.reshape([-1, 1, height, width]);
    const replaced = (step: number) => BigInt(Math.floor((height * width * step) / steps));
    const counts = tensor(BigInt64Array.from({ length: steps + 1 }, (_, step) => replaced(step)));
    const scores = classScores(operation, explained, {
      variants: steps + 1,
      versionsOf(samples, variants) {
        const count = counts.indexSelect(0, variants).reshape([-1, 1, 1, 1]);
        const gone = ranks.indexSelect(0, samples).lt(count);
        return where(gone, to.indexSelect(0, samples), from.indexSelect(0, samples));
      },
    });
    const curve = scores.maskedFill(holdsNaN(rows).unsqueeze(1), Number.NaN);
    const ends = curve.select(1, 0).add(curve.select(1, steps)).div(2);
    return { curve, auc: curve.sum([1]).sub(ends).div(steps) };
  });
}

function baselineOf(operation: string, baseline: Baseline, images: Tensor): Tensor {
  if (baseline === "zero") return zerosLike(images);
  const made = typeof baseline === "function" ? callSync(operation, () => baseline(images.clone())) : baseline;
  if (typeof made === "string")
    throw wrongArgument(`${operation}: baseline`, '"zero", a Tensor or a function that makes one', made);
  expectTensor(made, `${operation}: baseline`);
  const wanted = images.sizes;
  const extra = wanted.length - made.ndim;
  const fits = extra >= 0 && made.sizes.every((size, i) => size === 1 || size === wanted[extra + i]);
  if (!fits) {
    throw new BatchCamError(
      "E_SHAPE",
      `${operation}: baseline must broadcast to the images' [${wanted.join(", ")}], got [${made.shape.join(", ")}]`,
    );
  }
  return made.detach().to(images.dtype).expand(wanted);
}
