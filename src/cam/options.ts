import type { Module } from "../nn/index.ts";
import type { Tensor } from "../tensor/index.ts";
import type { Convention, NormalizeOptions } from "./normalize.ts";
import type { ReshapeTransform } from "./recorded-forward.ts";
import type { Target, Targets } from "./targets.ts";

/**
 * Settings of particular methods. The defaults are those of the method's paper or of the library that it is compared
 * with.
 */
export interface MethodSettings {
  /** Number of noisy copies of each image, for SmoothGrad (25) and SmoothGradCAM++ (4). */
  samples?: number;
  /**
   * Standard deviation of their normal noise, in units of x, or the noise itself (copies, B, C, H, W). The default is 0.15 of each
   * image's range for SmoothGrad, and 0.3 for SmoothGradCAM++.
   */
  noise?: number | Tensor;
  /** Number of points of the path of IntegratedGradients (50). */
  steps?: number;
  /** Start of the path of IntegratedGradients, broadcast to x (default: zeros). */
  baseline?: Tensor;
  /**
   * Seed of the noise (0), which is the same for every image of a call. The state of the engine's random generator does
   * not change.
   */
  seed?: number;
  /**
   * Largest number of images in one forward pass of AblationCAM and ScoreCAM. The default is as many as `memoryLimit` allows, up to 128.
   */
  chunkSize?: number;
  /** Approximate limit on the bytes that one forward pass of AblationCAM and ScoreCAM uses (1 GiB). */
  memoryLimit?: number;
}

/** The input of a method that differentiates with respect to the images, apart from the images. */
export interface ImageOptions {
  target: Target;
  settings: MethodSettings;
  createGraph: boolean;
}

/** The input of a method that runs the model itself. */
export interface ProbingOptions extends ImageOptions {
  convention: Convention;
}

export interface ExplainOptions extends MethodSettings {
  /** The class or score that the maps explain; the predicted class by default. */
  targets?: Targets;
  /**
   * The target layer, as its state-dict path or the module. The default is the model's `camLayer` or, without one, its last layer with a
   * spatial output.
   */
  layer?: string | Module;
  /** Several target layers, whose maps are fused: resized to the image, scaled and averaged. */
  layers?: readonly (string | Module)[];
  /**
   * Converts the layer's output and its gradient to (B, K, h, w), for layers whose outputs are tokens or channels-last.
   */
  reshapeTransform?: ReshapeTransform;
  /** Whether a ReLU removes negative values (default: true); false gives signed maps. */
  relu?: boolean;
  /** The size of the maps: that of the image (true), that of the layer's output (false), or [height, width]. */
  upsample?: boolean | readonly [number, number];
  /**
   * Whether each map is scaled to [0, 1]. With true, eps is 1e-8 of the map's range, so that the unit of the logits
   * does not matter.
   */
  normalize?: boolean | NormalizeOptions;
  /**
   * Whether to average six maps, those of the image and its mirror image multiplied by 0.9, 1 and 1.1, as pytorch-grad-cam's `aug_smooth`
   * does.
   */
  augSmooth?: boolean;
  /**
   * Whether to take the first principal component of the summands instead of their sum, as pytorch-grad-cam's
   * `eigen_smooth` does.
   */
  eigenSmooth?: boolean;
  /** The library whose conventions are followed if libraries differ. */
  convention?: Convention;
  /** Whether the maps have a graph to the parameters, which a loss needs. AblationCAM and ScoreCAM cannot have one. */
  createGraph?: boolean;
}
