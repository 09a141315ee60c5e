import type { TrainConfig } from "../config/index.ts";
import { BatchCamError } from "../errors.ts";
import { type Model, mapSizes } from "../models/index.ts";
import { BatchNorm2d, type Module } from "../nn/index.ts";

/** What a run trains on, as far as the size of its batches is concerned. */
interface TrainedOn {
  /** Modules that stay in evaluation mode, whose batch norms take no statistics from a batch. */
  frozen: readonly Module[];
  /** [channels, height, width] */
  image: readonly [number, number, number];
  /** Training images. */
  images: number;
}

/**
 * The fewest images that one pass of training can take: 2 where a batch norm sees maps of 1x1, because a single image
 * would give it one value per channel, which has no variance; else 1.
 *
 * @throws E_CONFIG where batches, or the whole training split, hold fewer
 */
export function smallestBatch(config: TrainConfig, model: Model, { frozen, image, images }: TrainedOn): 1 | 2 {
  const still = new Set(frozen.flatMap((module) => [...module.namedModules().values()]));
  const norms = [...model.namedModules()].filter(([, module]) => module instanceof BatchNorm2d && !still.has(module));
  const paths = norms.map(([path]) => path);
  const sizes = paths.length === 0 ? [] : mapSizes(model, image, paths);
  const layer = paths[sizes.findIndex(([height, width]) => height * width === 1)];
  if (layer === undefined) return 1;
  const needs = `the batch norm ${layer} sees maps of 1x1 at this image size and needs at least two images for a variance`;
  const otherwise = "choose a stem that shrinks less (stem, patchSize, stemStride), or freeze that layer (freeze)";
  if (config.batchSize === 1)
    throw new BatchCamError("E_CONFIG", `batchSize: ${needs}, got batches of 1: use batchSize 2 or more, ${otherwise}`);
  if (images === 1)
    throw new BatchCamError(
      "E_CONFIG",
      `train: ${needs}, got 1 training image: train on more (limitTrain), ${otherwise}`,
    );
  return 2;
}
