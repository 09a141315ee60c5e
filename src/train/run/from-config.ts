import type { TrainConfig } from "../../config/index.ts";
import type { AugmentOptions } from "../../data/index.ts";
import { augments } from "../../data/internal.ts";
import { createModel, defaultCamLayer, type Model, type ModelOptions } from "../../models/index.ts";
import { FAMILIES, optionsForImages } from "../../models/internal.ts";
import type { Module } from "../../nn/index.ts";

/** The properties of the images and classes that a model is built for. */
export interface ImagesAndClasses {
  numClasses: number;
  /** Sizes of the images' tensor, (N, C, H, W). */
  images: { readonly sizes: readonly number[] };
}

/** The model that a config names, for images and classes like a split's; initialised by the engine's generator. */
export function modelFor(config: TrainConfig, split: ImagesAndClasses): Model {
  const [, inChannels = 1] = split.images.sizes;
  return createModel(config.model, { numClasses: split.numClasses, inChannels, ...modelOptions(config, split) });
}

/** The architecture options of the config and, for small images, a stem that preserves their detail. */
export function modelOptions(config: TrainConfig, { images }: Pick<ImagesAndClasses, "images">): ModelOptions {
  const side = Math.min(...images.sizes.slice(-2));
  const values = config as Readonly<Record<string, unknown>>;
  const given = Object.fromEntries(
    MODEL_OPTIONS.flatMap((key) => (values[key] === undefined ? [] : [[key, values[key]]])),
  );
  return { ...optionsForImages(config.model, side, { given }), ...given };
}

/** The train options that belong to a family of models. */
const MODEL_OPTIONS = [...new Set(FAMILIES.flatMap(({ options }) => Object.keys(options)))];

/** The layer whose maps a run guides or judges. */
export function camLayerOf(
  { camLayer }: TrainConfig,
  model: Module,
  { images }: Pick<ImagesAndClasses, "images">,
): string {
  return camLayer ?? defaultCamLayer(model, images.sizes.slice(1) as [number, number, number]);
}

/** How a config changes training images; null if it does not. */
export function augmentationOf(config: TrainConfig): AugmentOptions | null {
  const options: AugmentOptions = {
    shift: config.augShift,
    rotate: config.augRotate,
    scale: config.augScale,
    flip: config.augFlip,
    erase: config.augErase,
    brightness: config.augBrightness,
    crop: config.augCrop,
    randAugment: config.randAugment,
    randAugmentOps: config.randAugmentOps,
  };
  return augments(options) ? options : null;
}
