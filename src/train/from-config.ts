import type { TrainConfig } from "../config/index.ts";
import {
  batchIndices,
  type Dataset,
  disposeDataset,
  disposeSplit,
  loadDataset,
  type Split,
  splitValidation,
} from "../data/index.ts";
import { createModel, type Model } from "../models/index.ts";
import { capabilities, tensor, tidy } from "../tensor/index.ts";

/** The images that a config names, in its splits. */
export interface ConfiguredData {
  train: Split;
  val: Split;
  test: Split;
  /** Where the data set has less than was asked for. */
  warnings: string[];
  dispose: () => void;
}

export async function loadData(config: TrainConfig): Promise<ConfiguredData> {
  const dataset = await loadDataset(config.dataset, config.dataDir === undefined ? {} : { dataDir: config.dataDir });
  const whole = splitValidation(dataset.train, { images: config.valImages, seed: config.seed });
  const splits = {
    train: limit(whole.train, config.limitTrain, config.seed),
    val: whole.val,
    test: limit(dataset.test, config.limitTest, 0),
  };
  const warnings = [
    ...tooFew("limitTrain", config.limitTrain, whole.train),
    ...tooFew("limitTest", config.limitTest, dataset.test),
  ];
  if (splits.train !== whole.train) disposeSplit(whole.train);
  return { ...splits, warnings, dispose: () => disposeSplits(dataset, Object.values(splits)) };
}

function tooFew(key: string, asked: number | undefined, { labels }: Split): string[] {
  if (asked === undefined || asked <= labels.numel) return [];
  return [`${key} is ${asked}, but there are ${labels.numel} images to take from: all of them are used`];
}

/** A seeded choice of `count` images; the order of epoch 0, which no training epoch has, makes it. */
function limit(split: Split, count: number | undefined, seed: number): Split {
  if (count === undefined || count >= split.labels.numel) return split;
  const [indices = new Int32Array()] = batchIndices(split.labels.numel, { batchSize: count, seed, epoch: 0 });
  return tidy(() => {
    const chosen = tensor(indices);
    return { ...split, images: split.images.indexSelect(0, chosen), labels: split.labels.indexSelect(0, chosen) };
  });
}

function disposeSplits(dataset: Dataset, splits: readonly Split[]): void {
  for (const split of splits) disposeSplit(split);
  disposeDataset(dataset);
}

/** The model that a config names, for images and classes like a split's; initialised by the engine's generator. */
export function modelFor({ model, head, norm }: TrainConfig, { images, numClasses }: Split): Model {
  const [, inChannels = 1, imageSize = 28] = images.sizes;
  return createModel(model, { numClasses, inChannels, imageSize, head, norm });
}

/** Whether the network computes in bfloat16 on this machine. */
export function usesBfloat16({ amp }: TrainConfig): boolean {
  return amp === "on" || (amp === "auto" && capabilities().fastBfloat16);
}
