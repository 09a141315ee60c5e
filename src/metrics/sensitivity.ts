import { callSync, expectFunction, expectInteger, expectNumber, optionsOf } from "../arguments.ts";
import { counted } from "../counted.ts";
import { BatchCamError } from "../errors.ts";
import { arange, cat, type Tensor, tidy } from "../tensor/index.ts";
import { expectShapes } from "../tensor/internal.ts";
import { ImageDraws, indicesOf } from "./image-draws.ts";
import { mapRows } from "./maps.ts";
import { expectImages } from "./predict.ts";

/**
 * A function that returns the maps (n, h, w) of n images. `positions` (n), int64, is the index of each row's image in
 * the batch, so `labels.indexSelect(0, positions)` are their classes. Fixed classes are better than the predicted ones,
 * which may change with the perturbation.
 */
export type Explain = (images: Tensor, positions: Tensor) => Tensor;

export interface SensitivityOptions {
  /** Number of perturbations of each image (10). */
  samples?: number;
  /** Largest change of a value of the images, in units of the normalised images (0.02). */
  radius?: number;
  /** Largest number of images that `explain` is called with (256). */
  batchSize?: number;
  /** Seed of the perturbations (0). The global random generator is not used. */
  seed?: number;
  /** Given perturbations δ, (samples, N, C, H, W), instead of random ones. */
  perturbations?: Tensor;
}

/**
 * Max-sensitivity: the largest relative change of an explanation E over `samples` small perturbations of its image,
 *
 *     max_k ‖E(x + δ_k) − E(x)‖₂ / ‖E(x)‖₂,   δ_k uniform in [−radius, radius] for each value.
 *
 * Lower is better; an explanation that ignores the image has 0. For a dead (all-zero) E(x) the change is not divided by
 * the norm, as in captum's `sensitivity_max`. A map with NaN gives NaN. The perturbations depend only on the seed and
 * the values of the image, not on the batch, its order or `batchSize`.
 *
 * Source: Yeh et al., On the (in)fidelity and sensitivity of explanations, 2019.
 *
 * @param images (N, C, H, W)
 * @returns (N), float64
 */
export function maxSensitivity(explain: Explain, images: Tensor, options: SensitivityOptions = {}): Tensor {
  const known = ["samples", "radius", "batchSize", "seed", "perturbations"] as const;
  const {
    perturbations,
    radius = 0.02,
    batchSize = 256,
    seed = 0,
    ...rest
  } = optionsOf("maxSensitivity", options, known);
  expectFunction("maxSensitivity: explain", explain);
  expectNumber("maxSensitivity: radius", radius, "be a finite number > 0", (n) => Number.isFinite(n) && n > 0);
  expectInteger("maxSensitivity: batchSize", batchSize, 1);
  const { N } = expectShapes("maxSensitivity", { images: [images, "N C H W"] }) as { N: number };
  expectImages("maxSensitivity", images);
  if (perturbations !== undefined)
    expectShapes("maxSensitivity", { images: [images, "N C H W"], perturbations: [perturbations, "samples N C H W"] });
  const samples = perturbations?.sizes[0] ?? rest.samples ?? 10;
  expectInteger("maxSensitivity: samples", samples, 1, 10_000);
  return tidy(() => {
    const clean = images.detach();
    using draws = new ImageDraws("maxSensitivity", "perturbations", { seed, images: clean });
    const next = perturbations === undefined ? drawn(draws, clean, radius) : given(perturbations);
    const original = inChunks(arange(N), batchSize, (rows) => explained(explain, clean.indexSelect(0, rows), rows));
    const norms = original.norm([1]); // (N)
    const positions = arange(N).unsqueeze(1).expand([N, samples]).reshape([-1]);
    const distances = inChunks(positions, batchSize, (rows) => {
      const noisy = clean.indexSelect(0, rows).add(next(rows).to(images.dtype));
      const maps = explained(explain, noisy, rows);
      expectSameSize(maps, original);
      return maps.sub(original.indexSelect(0, rows)).norm([1]);
    });
    return distances
      .reshape([N, samples])
      .amax([1])
      .div(norms.add(norms.eq(0)));
  });
}

/** Returns the perturbations of the next rows. The rows of one image must be consecutive. */
type NextPerturbations = (rows: Tensor) => Tensor;

function drawn(draws: ImageDraws, images: Tensor, radius: number): NextPerturbations {
  return (rows) => draws.uniform(indicesOf(rows), images.sizes.slice(1)).mul(2).sub(1).mul(radius);
}

function given(perturbations: Tensor): NextPerturbations {
  const byImage = perturbations.detach().transpose(0, 1).flatten(0, 1); // (N · samples, C, H, W)
  let start = 0;
  return ({ numel }) => {
    const own = byImage.narrow(0, start, numel);
    start += numel;
    return own;
  };
}

function inChunks(positions: Tensor, batchSize: number, rowsOf: (positions: Tensor) => Tensor): Tensor {
  return cat(positions.split(batchSize).map((chunk) => tidy(() => rowsOf(chunk))));
}

/** Calls `explain` and flattens its maps to rows. */
function explained(explain: Explain, images: Tensor, positions: Tensor): Tensor {
  const maps = callSync("maxSensitivity", () => explain(images, positions.clone()));
  expectShapes("maxSensitivity", { positions: [positions, "N"], "the maps that explain returned": [maps, "N H W"] });
  return mapRows("maxSensitivity", maps);
}

function expectSameSize(maps: Tensor, original: Tensor): void {
  const [now, before] = [maps.sizes[1], original.sizes[1]];
  if (now === before) return;
  throw new BatchCamError(
    "E_SHAPE",
    `maxSensitivity: explain must return maps of one size, got ${counted(now, "pixel")} after ${before}`,
  );
}
