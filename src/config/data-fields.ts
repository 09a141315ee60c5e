import { z } from "zod";
import { group, path } from "./fields.ts";

export const DATASET_NAMES = [
  "mnist",
  "fashion-mnist",
  "decoy-mnist",
  "decoy-fashion-mnist",
  "color-mnist",
  "folder",
  "csv",
  "npz",
] as const;
export type DatasetName = (typeof DATASET_NAMES)[number];

/** What names a data set and says how it is read. */
export const dataFields = group("Data", {
  dataset: z
    .enum(DATASET_NAMES)
    .default("mnist")
    .describe("images to train on; folder, csv, npz: your own, in dataDir"),
  dataDir: path()
    .optional()
    .describe("folder with the data set's files, or a CSV or .npz file (default: the installed or cached copy)"),
  imageSize: z.int().min(4).max(1024).default(64).describe("folder, csv: height and width that images are brought to"),
  imageChannels: z.literal([1, 3]).default(3).describe("folder, csv: 1 for grey images, 3 for colour"),
  imageFit: z
    .enum(["cover", "contain", "fill"])
    .default("cover")
    .describe("folder, csv: cut, add margins or distort to that size"),
  testFraction: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.2)
    .describe(
      "folder, csv: share held out as the test split where there is no test/; each image is drawn by its path, so that adding one moves no other, except in a class so small that none is drawn: it gives its image of the lowest hash, which an added one may replace",
    ),
  badImages: z
    .enum(["fail", "skip"])
    .default("fail")
    .describe("folder, csv: stop at files that cannot be read, or leave them out"),
  followLinks: z
    .boolean()
    .default(false)
    .describe("folder, csv: follow links out of the data set's folder, and to folders"),
  decoyVariant: z
    .enum(["rrr", "cdep"])
    .default("rrr")
    .describe("decoy sets: 4x4 patches that are random in the test, or 5x5 ones that mislead there"),
  dataSeed: z
    .int()
    .nonnegative()
    .default(0)
    .describe("seed of a decoy set's patches, and of the choice of test images of folder and csv"),
});
