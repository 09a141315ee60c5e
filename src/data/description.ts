import { z } from "zod";

/**
 * The facts about a data set from which flags, help, documentation and reports are made. It is plain data, so that it
 * loads without the engine. The functions that read the images are in `dataset.ts`.
 */
export interface DatasetDescription {
  readonly name: string;
  /** A short description of the images. */
  readonly summary: string;
  /**
   * Whether it is the user's own data, which `dataDir` must name. For the other data sets `dataDir` is optional and
   * only says where their files are.
   */
  readonly own: boolean;
  /** The options of this data set, by key. Data sets with an option in common share its field. */
  readonly options: Readonly<Record<string, z.ZodType>>;
  /** Whether its training images have masks of the pixels that should not matter: always, if the user gives some, or never. */
  readonly masks: "always" | "if given" | "never";
  /**
   * A sentence for the model card about a cue that reveals the class in the training images and is misleading in the
   * test images; null for a data set without such a cue.
   */
  readonly cue: string | null;
}

const drawn = {
  dataSeed: z
    .int()
    .nonnegative()
    .default(0)
    .describe("seed of the decoy patches or colours, and of the choice of test images"),
};

const decoy = {
  decoyVariant: z
    .enum(["rrr", "cdep"])
    .default("rrr")
    .describe(
      "rrr has 4x4 patches whose grey is random in the test images; cdep has 5x5 patches whose grey is misleading there",
    ),
  ...drawn,
};

const imageFiles = {
  imageSize: z.int().min(4).max(1024).default(64).describe("height and width to which images are resized"),
  imageChannels: z.literal([1, 3]).default(3).describe("1 for greyscale images, 3 for RGB"),
  imageFit: z
    .enum(["cover", "contain", "fill"])
    .default("cover")
    .describe("how images are fitted to that size: cropped (cover), padded (contain) or stretched (fill)"),
  testFraction: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.2)
    .describe(
      "fraction of the images held out as the test split if the data set has none; whether an image is held out depends only on its path, so adding images does not move others (if no image of a class is drawn, the one with the lowest hash is held out)",
    ),
  badImages: z.enum(["fail", "skip"]).default("fail").describe("stop at files that cannot be read, or skip them"),
  followLinks: z
    .boolean()
    .default(false)
    .describe("also follow symbolic links that lead to folders or out of the data set's folder"),
  ...drawn,
};

const PATCH =
  "The training and validation images have a patch whose grey reveals the class; in the test images its grey is misleading. The validation accuracy of a model that uses the patch is too high.";
const COLOUR =
  "The training and validation images are painted in the colour of their class, and the test images in that of another class. The validation accuracy of a model that uses the colour is too high.";

/** Every data set, in the order of the help and the tables. A new data set needs an entry here and a line in `dataset.ts`. */
export const DATASETS = [
  {
    name: "mnist",
    summary: "60,000 training and 10,000 test images of handwritten digits, 28x28",
    ...{ own: false, options: {}, masks: "never", cue: null },
  },
  {
    name: "fashion-mnist",
    summary: "60,000 training and 10,000 test images of clothing in 10 classes, 28x28",
    ...{ own: false, options: {}, masks: "never", cue: null },
  },
  {
    name: "decoy-mnist",
    summary: "mnist with a grey patch in a corner that reveals the class in training and misleads in the test",
    ...{ own: false, options: decoy, masks: "always", cue: PATCH },
  },
  {
    name: "decoy-fashion-mnist",
    summary: "fashion-mnist with the same patches",
    ...{ own: false, options: decoy, masks: "always", cue: PATCH },
  },
  {
    name: "color-mnist",
    summary: "mnist painted in the colour of its class in training, and of another class in the test",
    ...{ own: false, options: drawn, masks: "never", cue: COLOUR },
  },
  {
    name: "folder",
    summary: "your own images, one subfolder for each class",
    ...{ own: true, options: imageFiles, masks: "never", cue: null },
  },
  {
    name: "csv",
    summary: "your own images, named by a CSV file with their classes, splits and masks",
    ...{ own: true, options: imageFiles, masks: "if given", cue: null },
  },
  {
    name: "npz",
    summary: "your own images in a NumPy file in MedMNIST's format",
    ...{ own: true, options: {}, masks: "never", cue: null },
  },
] as const satisfies readonly DatasetDescription[];

export type DatasetName = (typeof DATASETS)[number]["name"];
