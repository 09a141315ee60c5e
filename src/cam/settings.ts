import { expectInteger, expectNumber } from "../arguments.ts";
import type { Tensor } from "../tensor/index.ts";
import { isTensor } from "../tensor/internal.ts";
import type { Target } from "./targets.ts";

/** What single methods can be told; each has the default of its paper or of the library that it is compared with. */
export interface MethodSettings {
  /** SmoothGrad (25), SmoothGradCAM++ (4): noisy copies of each image. */
  samples?: number;
  /**
   * Deviation of their normal noise in units of x: 0.15 of each image's range for SmoothGrad, 0.3 for SmoothGradCAM++; or the noise
   * itself, (copies, B, C, H, W).
   */
  noise?: number | Tensor;
  /** IntegratedGradients: points of the path (50). */
  steps?: number;
  /** IntegratedGradients: where the path begins, broadcast to x; zeros by default. */
  baseline?: Tensor;
  /** Seed of the noise (0), which is the same for every image of a call. The engine's generator is left as it was. */
  seed?: number;
  /** AblationCAM, ScoreCAM: most images of one forward pass; by default what `memoryLimit` allows, up to 128. */
  chunkSize?: number;
  /** AblationCAM, ScoreCAM: bytes that a forward pass may take, roughly (1 GiB). */
  memoryLimit?: number;
}

export function checkSettings(operation: string, settings: MethodSettings): void {
  const { samples, noise, steps, seed, chunkSize, memoryLimit } = settings;
  for (const [name, value] of Object.entries({ samples, steps, chunkSize }))
    if (value !== undefined) expectInteger(`${operation}: ${name}`, value, 1);
  if (noise !== undefined && !isTensor(noise))
    expectNumber(`${operation}: noise`, noise, "be a number >= 0", (n) => n >= 0 && n < Infinity);
  if (seed !== undefined) expectInteger(`${operation}: seed`, seed, 0);
  if (memoryLimit !== undefined)
    expectNumber(`${operation}: memoryLimit`, memoryLimit, "be a number > 0", (n) => n > 0);
}

/** What a method of the whole image works on, but for the images. */
export interface ImageOptions {
  target: Target;
  settings: MethodSettings;
  createGraph: boolean;
}

/** What a method works on that runs the model itself. */
export interface ProbingOptions extends ImageOptions {
  convention: Convention;
}

/**
 * Whose conventions the maps follow where libraries differ:
 * - "batch-cam" (default): resize to the image, then one min-max with eps 1e-8; several layers are scaled, resized, averaged and
 *   scaled again;
 * - "pytorch-grad-cam" (1.5): min-max with eps 1e-7, resize, average over the layers, min-max again;
 * - "torch-cam" (0.5): min-max with eps 1e-8 at the map's own size, resized only where `upsample` asks for it; of several
 *   layers, resized to the largest of their maps, the largest value; Grad-CAM++ without its denominator; Score-CAM's channels scaled before they are resized, between half
 *   pixels.
 */
export type Convention = "batch-cam" | "pytorch-grad-cam" | "torch-cam";
export const CONVENTIONS = ["batch-cam", "pytorch-grad-cam", "torch-cam"] as const satisfies Convention[];
