import { z } from "zod";
import { DATASETS } from "../data/description.ts";
import { choiceOf, type Features, namesOf, optionFields } from "./features.ts";
import { count, group, path } from "./fields.ts";
import { figures } from "./normalization.ts";

/** The fields that name a data set and say how it is read. */
export const dataFieldsOf = <const D extends Features["datasets"]>(datasets: D) => {
  const names = namesOf(datasets);
  const own = datasets.filter((set) => set.own).map(({ name }) => name);
  return group("Data", {
    dataset: choiceOf(names)
      .default(names[0] as never)
      .describe(`images to train on; ${own.join(", ")}: your own, in dataDir`),
    dataDir: path()
      .optional()
      .describe("folder with the data set's files, or a CSV or .npz file (default: the installed or cached copy)"),
    ...optionFields(datasets),
  });
};

export const dataFields = dataFieldsOf(DATASETS);

/** The fields that select images of the data set, and normalise their pixels. */
export const selectionFields = group("Data", {
  valImages: count()
    .optional()
    .describe(
      "number of training images held out, by seed, to choose the best epoch (approximate for your own images); the test split is never used for that (default: about a tenth, at most 5000)",
    ),
  sampler: z
    .enum(["shuffle", "balanced"])
    .default("shuffle")
    .describe(
      "shuffle: each training image once in an epoch; balanced: drawn so that all classes are equally frequent",
    ),
  overfitBatches: count()
    .optional()
    .describe("train on this many batches and validate on the same images, to check that a model can learn at all"),
  normalization: z
    .enum(["data", "imagenet", "none"])
    .optional()
    .describe(
      "mean and standard deviation that normalise the pixels: those of the training images, of ImageNet, or none (default: with weights, those of their run or folder, otherwise imagenet; without weights, data)",
    ),
  mean: figures()
    .optional()
    .describe("mean of the pixels in [0, 1], a number for each channel, instead of normalization"),
  std: figures().optional().describe("standard deviation of the pixels in [0, 1], a number for each channel"),
  limitTrain: count().optional().describe("use only the first N of the shuffled training images"),
  limitTest: count().optional().describe("use only the first N test images"),
  limitVal: count().optional().describe("use only N validation images"),
  limitTrainBatches: count()
    .optional()
    .describe("end each epoch after this many steps; each epoch draws different images"),
});

const share = (most: number) => z.number().min(0).max(most).default(0);

/** The fields of augmentation: how training images are changed before each step. */
export const augmentationFields = group("Augmentation", {
  augShift: share(1).describe("largest shift of a training image along either axis, as a share of its side"),
  augRotate: share(180).describe("largest rotation of a training image, in degrees"),
  augScale: share(0.9).describe("largest change of a training image's size, as a share: 0.2 for 0.8 to 1.25 times"),
  augFlip: z.boolean().default(false).describe("flip half of the training images horizontally"),
  augErase: share(1).describe("share of the training images in which a rectangle is made grey"),
  augCrop: share(0.99).describe(
    "largest share of a training image's area that is cropped away; the rest, with an aspect ratio of 3:4 to 4:3, is resized to the full size",
  ),
  randAugment: share(10).describe(
    "magnitude of RandAugment, which draws operations for each image that move it or change its tones",
  ),
  randAugmentOps: count().max(16).default(2).describe("number of RandAugment operations for each image"),
  augBrightness: share(1).describe("largest change of a training image's brightness, as a share"),
});
