import { expectNumber, optionsOf } from "../arguments.ts";
import { autocast, cat, noGrad, type Tensor, tidy, where } from "../tensor/index.ts";
import { expectShapes } from "../tensor/internal.ts";
import { ImageDraws } from "./image-draws.ts";
import { fillIn, powerOfTwo } from "./multigrid.ts";
import { expectImages } from "./predict.ts";

export interface ImputationOptions {
  /** Standard deviation of the noise that is added to the imputed pixels (0.01). */
  noise?: number;
  /**
   * Seed of the noise (0). The noise depends on the seed and the image, but not on the batch. The global random
   * generator is not used.
   */
  seed?: number;
}

/** Number of values that are solved for at once. The solver reads them repeatedly, so they should fit in the cache. */
const CHUNK = 2 ** 18;

/**
 * Noisy linear imputation: each removed pixel becomes the weighted mean of its neighbours,
 *
 *     x_i Σ_j w_ij = Σ_j w_ij x_j,
 *
 * with w = 1/6 for the four neighbours that share an edge and 1/12 for the four that share a corner. Neighbours outside
 * the image are left out on both sides. This is one sparse symmetric linear system for each
 * image; all images and channels are solved together in float64, to a relative residual of about 1e-9. Then noise from
 * N(0, noise²) is added. Every removed pixel is connected to a known one, unless the whole image is removed; such an
 * image becomes zero plus the noise.
 *
 * Source: Rong et al., A consistent and efficient evaluation strategy for attribution methods (ROAD), 2022.
 *
 * @param images (N, C, H, W)
 * @param removed (N, H, W), true (or not zero) at removed pixels
 * @returns (N, C, H, W), the images with their removed pixels imputed, in the images' dtype
 */
export function imputeLinearly(images: Tensor, removed: Tensor, options: ImputationOptions = {}): Tensor {
  const { noise = 0.01, seed = 0 } = optionsOf("imputeLinearly", options, ["noise", "seed"]);
  expectShapes("imputeLinearly", { images: [images, "N C H W"], removed: [removed, "N H W"] });
  expectImages("imputeLinearly", images);
  expectNoise("imputeLinearly", noise);
  using draws = new ImageDraws("imputeLinearly", "imputation", { seed, images });
  const rows = Array.from({ length: images.sizes[0] as number }, (_, row) => row);
  return tidy(() => noGrad(() => imputed(images.detach(), removed.detach().ne(0), { noise, draws, rows })));
}

export function expectNoise(operation: string, noise: unknown): void {
  expectNumber(`${operation}: noise`, noise, "be a finite number >= 0", (n) => Number.isFinite(n) && n >= 0);
}

/** `imputeLinearly` after its arguments were checked. `rows` gives the index of each row's image in `draws`. */
export function imputed(
  images: Tensor,
  removed: Tensor,
  { noise, draws, rows }: { noise: number; draws: ImageDraws; rows: readonly number[] },
): Tensor {
  const [count, ...shape] = images.sizes as [number, ...number[]];
  const chunk = Math.max(1, Math.floor(CHUNK / (images.numel / count)));
  const parts: Tensor[] = [];
  for (let start = 0; start < count; start += chunk) {
    const length = Math.min(chunk, count - start);
    const part = tidy(() => {
      const known = images.narrow(0, start, length);
      const unknown = removed.narrow(0, start, length).unsqueeze(1); // (n, 1, H, W)
      const solved = solve(known.to("float64"), unknown);
      const own = rows.slice(start, start + length);
      const values = noise === 0 ? solved : solved.add(draws.normal(own, shape).mul(noise));
      return where(unknown, values.to(images.dtype), known);
    });
    parts.push(part);
  }
  return cat(parts);
}

/**
 * Values of the removed pixels, float64, (n, C, H, W); zero elsewhere. The initial guess is the mean of the known
 * pixels. Each image and channel is scaled to a magnitude of about one, because sums of very large float64 values
 * overflow and very small ones lose precision.
 */
function solve(images: Tensor, removed: Tensor): Tensor {
  const unknown = removed.to("float64");
  const values = images.maskedFill(removed, 0);
  const scale = powerOfTwo(values);
  const known = values.div(scale);
  const count = unknown.neg().add(1).sum([2, 3], { keepDims: true });
  const mean = known.sum([2, 3], { keepDims: true }).div(count.clamp(1));
  return autocast({ enabled: false }, () => fillIn(known, unknown, mean.mul(unknown))).mul(scale);
}
