import { z } from "zod";
import { DATASETS } from "../data/description.ts";
import { choiceOf, type Features, namesOf, optionFields } from "./features.ts";
import { count, group, path } from "./fields.ts";
import { figures } from "./normalization.ts";

/** What names a data set and says how it is read. */
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

/** Which of the data set's images are used, and how their pixels are normalised. */
export const selectionFields = group("Data", {
  valImages: count()
    .optional()
    .describe(
      "training images held out, by seed, to choose the best epoch, of your own about so many; the test split is never used for that (default: about a tenth, at most 5000)",
    ),
  sampler: z
    .enum(["shuffle", "balanced"])
    .default("shuffle")
    .describe("each training image once an epoch, or drawn so that all classes come equally often"),
  overfitBatches: count()
    .optional()
    .describe("to see that a model can learn at all: train on this many batches, and validate on the same images"),
  normalization: z
    .enum(["data", "imagenet", "none"])
    .optional()
    .describe(
      "mean and deviation that pixels are normalised by: the training images', ImageNet's, or none (default: with weights those of their run or folder, else imagenet; data without weights)",
    ),
  mean: figures()
    .optional()
    .describe("mean of the pixels in [0, 1], a number for each channel, in place of normalization"),
  std: figures().optional().describe("deviation of the pixels in [0, 1], a number for each channel"),
  limitTrain: count().optional().describe("use only the first N of the shuffled training images"),
  limitTest: count().optional().describe("use only the first N test images"),
  limitVal: count().optional().describe("use only N validation images"),
  limitTrainBatches: count()
    .optional()
    .describe("end each epoch after this many steps; the next one draws other images"),
});

const share = (most: number) => z.number().min(0).max(most).default(0);

/** How training images are changed before each step. */
export const augmentationFields = group("Augmentation", {
  augShift: share(1).describe("largest shift of a training image along either axis, as a share of its side"),
  augRotate: share(180).describe("largest turn of a training image, in degrees"),
  augScale: share(0.9).describe("largest change of a training image's size, as a share: 0.2 for 0.8 to 1.25 times"),
  augFlip: z.boolean().default(false).describe("mirror half the training images, left to right"),
  augErase: share(1).describe("share of the training images of which a rectangle is made grey"),
  augCrop: share(0.99).describe(
    "largest share of a training image's area that is cut away; the rest, of 3:4 to 4:3, is brought to the full size",
  ),
  randAugment: share(10).describe(
    "magnitude of RandAugment: operations drawn for each image, moving it or changing its shades",
  ),
  randAugmentOps: count().max(16).default(2).describe("operations of RandAugment for each image"),
  augBrightness: share(1).describe("largest change of a training image's brightness, as a share"),
});
