import type { dataFields } from "../config/data-fields.ts";
import { unusedOptions, usesOption } from "../config/dataset-options.ts";
import type { TrainConfig } from "../config/index.ts";
import { lowestDraws, steadyFraction } from "../data/held-out.ts";
import {
  batchIndices,
  type Dataset,
  type DatasetOptions,
  disposeDataset,
  disposeSplit,
  loadDataset,
  type Split,
  selectImages,
  splitValidation,
} from "../data/index.ts";
import { drawValidation } from "../data/validation-split.ts";
import { BatchCamError } from "../errors.ts";
import { createModel, defaultCamLayer, type Model, type ModelOptions } from "../models/index.ts";
import { normalizedDataset } from "./normalization.ts";

/** The images that a config names, in its splits. */
export interface ConfiguredData {
  train: Split;
  val: Split;
  test: Split;
  /** Where the data set has less than was asked for. */
  warnings: string[];
  dispose: () => void;
}

export async function loadData(config: TrainConfig, signal?: AbortSignal): Promise<ConfiguredData> {
  const loaded = await loadDataset(config.dataset, { ...datasetOptions(config), ...(signal ? { signal } : {}) });
  const dataset = normalizedDataset(loaded, config);
  const whole = config.overfitBatches === undefined ? withValidation(dataset, config) : overfitted(dataset, config);
  const splits = {
    train: limit(whole.train, config.limitTrain, config.seed),
    val: limit(whole.val, config.limitVal, config.seed),
    test: limitTest(dataset.test, config),
  };
  const warnings = [
    ...(dataset.warnings ?? []),
    ...(dataset.val !== undefined && config.valImages !== undefined
      ? ["valImages is not used: the data set has a validation split of its own"]
      : []),
    ...(config.fastDevRun
      ? []
      : [
          ...tooFew("limitTrain", config.limitTrain, whole.train),
          ...tooFew("limitVal", config.limitVal, whole.val),
          ...tooFew("limitTest", config.limitTest, dataset.test),
        ]),
  ];
  for (const name of ["train", "val"] as const)
    if (splits[name] !== whole[name] && whole[name] !== dataset[name]) disposeSplit(whole[name]);
  return { ...splits, warnings, dispose: () => disposeSplits(dataset, Object.values(splits)) };
}

/** What a config says about its data set's images, as far as the data set heeds it. */
export function datasetOptions(config: Pick<TrainConfig, keyof typeof dataFields>): DatasetOptions {
  const { dataDir, dataset, dataSeed: seed } = config;
  const { decoyVariant, imageSize, imageChannels, imageFit, testFraction, badImages, followLinks } = config;
  const all = { decoyVariant, imageSize, imageChannels, imageFit, testFraction, badImages, followLinks };
  const unused: readonly string[] = unusedOptions(dataset, all);
  const options = Object.fromEntries(Object.entries(all).filter(([key]) => !unused.includes(key)));
  return {
    ...options,
    ...(usesOption(dataset, "dataSeed") ? { seed } : {}),
    ...(dataDir === undefined ? {} : { dataDir }),
  };
}

/** The test images that a config judges by: those it is given, or a choice of them, which depends on their number alone. */
export const limitTest = (test: Split, config: Pick<TrainConfig, "limitTest">): Split =>
  limit(test, config.limitTest, 0);

/** The same few images for training and validation. */
function overfitted({ train }: Dataset, config: TrainConfig): { train: Split; val: Split } {
  const { overfitBatches = 1, batchSize, seed } = config;
  const indices = choice(train, Math.min(overfitBatches * batchSize, train.labels.numel), seed);
  return { train: selectImages(train, { indices, name: "train" }), val: selectImages(train, { indices, name: "val" }) };
}

/** The data set's own validation split; else one held out of the training images. */
function withValidation({ train, val }: Dataset, { valImages, seed }: TrainConfig): { train: Split; val: Split } {
  if (val !== undefined) return { train, val };
  const count = train.labels.numel;
  if ((valImages ?? 1) >= count) {
    const left = `valImages is ${valImages ?? 1}, and there are ${count} images to train on: leave some of them`;
    throw new BatchCamError("E_CONFIG", left);
  }
  return heldOutValidation(train, { valImages, seed });
}

/**
 * Parts training images where the data set has no validation split: `valImages` of them, else a tenth and at most 5000. Images that have
 * paths are drawn by them, each apart, so that their number is about that.
 */
export function heldOutValidation(
  train: Split,
  { valImages, seed }: Pick<TrainConfig, "valImages" | "seed">,
): { train: Split; val: Split } {
  const count = train.labels.numel;
  if (train.paths !== undefined) return drawValidation(train, seed, { fraction: validationFraction(train, valImages) });
  const images = valImages ?? Math.min(MOST_VALIDATION, Math.max(1, Math.round(count / 10)));
  return splitValidation(train, { images, seed });
}

const MOST_VALIDATION = 5000;

/** The share of images that have paths which is held out for validation. */
export function validationFraction({ labels: { numel } }: Split, valImages: number | undefined): number {
  if (valImages === undefined && numel <= 10 * MOST_VALIDATION) return 0.1;
  return steadyFraction(valImages ?? MOST_VALIDATION, numel);
}

function tooFew(key: string, asked: number | undefined, { labels }: Split): string[] {
  if (asked === undefined || asked <= labels.numel) return [];
  return [`${key} is ${asked}, but there are ${labels.numel} images to take from: all of them are used`];
}

function limit(split: Split, count: number | undefined, seed: number): Split {
  if (count === undefined || count >= split.labels.numel) return split;
  return selectImages(split, { indices: choice(split, count, seed), name: split.name });
}

/** A seeded choice of `count` images: by their paths, or by the order of epoch 0, which no training epoch has. */
function choice({ labels, paths }: Split, count: number, seed: number): Int32Array {
  if (paths !== undefined) return lowestDraws(paths, count, { purpose: "limit", seed });
  const [indices = new Int32Array()] = batchIndices(labels.numel, { batchSize: count, seed, epoch: 0 });
  return indices;
}

function disposeSplits(dataset: Dataset, splits: readonly Split[]): void {
  const own: (Split | undefined)[] = [dataset.train, dataset.val, dataset.test];
  for (const split of splits) if (!own.includes(split)) disposeSplit(split);
  disposeDataset(dataset);
}

/** The model that a config names, for images and classes like a split's; initialised by the engine's generator. */
export function modelFor(config: TrainConfig, split: Split): Model {
  const [, inChannels = 1] = split.images.sizes;
  return createModel(config.model, { numClasses: split.numClasses, inChannels, ...modelOptions(config, split) });
}

/** Below this many pixels, the stems made for 224x224 leave no usable map. */
const SMALL_SIDE = 64;

/** What the config says of the architecture, and for small images a stem that keeps their detail. */
export function modelOptions(config: TrainConfig, { images }: Split): ModelOptions {
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
export function camLayerOf({ camLayer }: TrainConfig, model: Model, { images }: Split): string {
  return camLayer ?? defaultCamLayer(model, images.sizes.slice(1) as [number, number, number]);
}
