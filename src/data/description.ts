import { z } from "zod";

/**
 * What flags, help, documentation and reports must know of a data set. It is plain data, which loads without the engine; how the images are
 * read is in `dataset.ts`.
 */
export interface DatasetDescription {
  readonly name: string;
  /** What it holds, in a few words. */
  readonly summary: string;
  /** Whether it is the user's own, which `dataDir` names; of the others `dataDir` only says where their files are. */
  readonly own: boolean;
  /** Data options of this set, by key. Sets that have an option in common share its field. */
  readonly options: Readonly<Record<string, z.ZodType>>;
  /** Whether its training images have masks of what should not matter: always, if the user gives some, or never. */
  readonly masks: "always" | "if given" | "never";
  /** What tells the class in the training images and misleads in the test images, as a sentence for the model card; null without. */
  readonly cue: string | null;
}

const drawn = {
  dataSeed: z
    .int()
    .nonnegative()
    .default(0)
    .describe("seed of the patches or colours, and of the choice of test images"),
};

const decoy = {
  decoyVariant: z
    .enum(["rrr", "cdep"])
    .default("rrr")
    .describe("4x4 patches that are random in the test, or 5x5 ones that mislead there"),
  ...drawn,
};

const imageFiles = {
  imageSize: z.int().min(4).max(1024).default(64).describe("height and width that images are brought to"),
  imageChannels: z.literal([1, 3]).default(3).describe("1 for grey images, 3 for colour"),
  imageFit: z.enum(["cover", "contain", "fill"]).default("cover").describe("cut, add margins or distort to that size"),
  testFraction: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.2)
    .describe(
      "share held out as the test split where there is no test/; each image is drawn by its path, so that adding one moves no other, except in a class so small that none is drawn: it gives its image of the lowest hash, which an added one may replace",
    ),
  badImages: z.enum(["fail", "skip"]).default("fail").describe("stop at files that cannot be read, or leave them out"),
  followLinks: z.boolean().default(false).describe("follow links out of the data set's folder, and to folders"),
  ...drawn,
};

const PATCH =
  "The training and validation images carry a patch whose grey tells the class, the test images one that misleads: validation accuracy flatters whoever reads the patch.";
const COLOUR =
  "The training and validation images have their class's colour, the test images that of another: validation accuracy flatters whoever reads the colour.";

/** Every data set, in the order of help and tables. A new one is an entry here and a line in `dataset.ts`. */
export const DATASETS = [
  {
    name: "mnist",
    summary: "60,000 handwritten digits of 28x28, and 10,000 for the test",
    ...{ own: false, options: {}, masks: "never", cue: null },
  },
  {
    name: "fashion-mnist",
    summary: "as many pieces of clothing of 28x28, in 10 classes",
    ...{ own: false, options: {}, masks: "never", cue: null },
  },
  {
    name: "decoy-mnist",
    summary: "mnist with a grey patch in a corner that tells the class in training and misleads in the test",
    ...{ own: false, options: decoy, masks: "always", cue: PATCH },
  },
  {
    name: "decoy-fashion-mnist",
    summary: "fashion-mnist with the same patches",
    ...{ own: false, options: decoy, masks: "always", cue: PATCH },
  },
  {
    name: "color-mnist",
    summary: "mnist in its class's colour in training, and in another class's colour in the test",
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
    summary: "your own images in a NumPy file of MedMNIST's form",
    ...{ own: true, options: {}, masks: "never", cue: null },
  },
] as const satisfies readonly DatasetDescription[];

export type DatasetName = (typeof DATASETS)[number]["name"];
