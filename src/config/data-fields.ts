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
      .describe(`images to train on; with ${own.join(", ")}, dataDir names your own images`),
    dataDir: path()
      .optional()
      .describe(
        "folder with the data set's files, or the CSV or .npz file itself (default: the installed or cached copy of the data set)",
      ),
    ...optionFields(datasets),
  });
};

export const dataFields = dataFieldsOf(DATASETS);

/** The fields that select images of the data set, and normalise their pixels. */
export const selectionFields = group("Data", {
  valImages: count()
    .optional()
    .describe(
      "number of training images held out as the validation split, on which the best epoch is chosen; approximate for your own images (default: about a tenth, at most 5000)",
    ),
  sampler: z
    .enum(["shuffle", "balanced"])
    .default("shuffle")
    .describe(
      "shuffle: every training image once per epoch; balanced: images are drawn so that all classes are equally frequent",
    ),
  overfitBatches: count()
    .optional()
    .describe("train and validate on the same N batches, to check that the model can learn at all"),
  normalization: z
    .enum(["data", "imagenet", "none"])
    .optional()
    .describe(
      "mean and standard deviation by which pixels are normalised: those of the training images, those of ImageNet, or none (default: data; if weights are given, the normalisation of their run or folder, or imagenet)",
    ),
  mean: figures()
    .optional()
    .describe("mean of the pixels in [0, 1], one number per channel, separated by commas; replaces normalization"),
  std: figures().optional().describe("standard deviation of the pixels in [0, 1], one number per channel"),
  limitTrain: count().optional().describe("use only the first N of the shuffled training images"),
  limitTest: count().optional().describe("use only the first N test images"),
  limitVal: count().optional().describe("use only N validation images"),
  limitTrainBatches: count().optional().describe("end each epoch after N steps; the next epoch draws other images"),
});

const share = (most: number) => z.number().min(0).max(most).default(0);

/** The fields of augmentation: how training images are changed before each step. */
export const augmentationFields = group("Augmentation", {
  augShift: share(1).describe("largest random shift of a training image along each axis, as a fraction of its side"),
  augRotate: share(180).describe("largest random rotation of a training image, in degrees"),
  augScale: share(0.9).describe(
    "largest random change of a training image's scale: 0.2 means between 0.8 and 1.25 times",
  ),
  augFlip: z.boolean().default(false).describe("mirror each training image left to right with probability 0.5"),
  augErase: share(1).describe("probability that a random rectangle of a training image is made grey"),
  augCrop: share(0.99).describe(
    "random resized crop: largest fraction of a training image's area that is cut away; the crop, of aspect ratio 3:4 to 4:3, is resized to the full size",
  ),
  randAugment: share(10).describe(
    "magnitude of RandAugment, which applies randomly chosen geometric and colour operations to each training image; 0 turns it off",
  ),
  randAugmentOps: count().max(16).default(2).describe("number of RandAugment operations applied to each image"),
  augBrightness: share(1).describe("largest random change of a training image's brightness, as a fraction"),
});
