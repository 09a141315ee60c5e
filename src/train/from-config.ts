import type { TrainConfig } from "../config/index.ts";
import { createModel, defaultCamLayer, type Model, type ModelOptions } from "../models/index.ts";

/** What a model has to know of the images and classes that it is for. */
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

/** Below this many pixels, the stems made for 224x224 leave no usable map. */
const SMALL_SIDE = 64;

/** What the config says of the architecture, and for small images a stem that keeps their detail. */
export function modelOptions(config: TrainConfig, { images }: Pick<ImagesAndClasses, "images">): ModelOptions {
  const side = Math.min(...images.sizes.slice(-2));
  const { model, head, norm, dropout, stem, width, zeroInitLast, patchSize, stemStride, dropPath } = config;
  const given: ModelOptions = Object.fromEntries(
    Object.entries({ head, norm, dropout, stem, width, zeroInitLast, patchSize, stemStride, dropPath }).filter(
      ([, value]) => value !== undefined,
    ),
  );
  if (model === "simple-cnn") return { imageSize: side, ...given };
  const chosen = given.patchSize === undefined ? smallStem(model, side) : {};
  return { ...chosen, ...given };
}

/** The stem for images too small for that of 224x224; nothing for larger ones. */
export function smallStem(model: string, side: number): ModelOptions {
  if (side >= SMALL_SIDE) return {};
  if (model.startsWith("resnet")) return { stem: "small" };
  // Half the cells of patchSize 1 on a side, at a quarter of the cost.
  return model.startsWith("convnext") ? { stemStride: 2 } : {};
}

/** The layer whose maps a run guides or judges. */
export function camLayerOf(
  { camLayer }: TrainConfig,
  model: Model,
  { images }: Pick<ImagesAndClasses, "images">,
): string {
  return camLayer ?? defaultCamLayer(model, images.sizes.slice(1) as [number, number, number]);
}
