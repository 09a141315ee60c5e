import { dirname } from "node:path";
import type { DatasetName } from "../description.ts";
import { type LabelledImages, listClassFolder } from "./class-folder.ts";

/** How a data set of the user's own names its images, whose files are then read one by one. */
export interface ListedSource {
  /** A description of a valid `dataDir`, for error messages. */
  readonly expects: string;
  /** Lists the images of `dataDir`. No image is read. */
  list(dataDir: string, options: { followLinks: boolean }): Promise<LabelledImages>;
  /** The folder that the images' paths are relative to. */
  root(dataDir: string): string;
}

/** The data sets of the user's own whose images are listed; any other one is a single file. */
export const LISTED_SOURCES: Readonly<Partial<Record<DatasetName, ListedSource>>> = {
  folder: {
    expects: "give the folder of the images, with one subfolder for each class",
    list: listClassFolder,
    root: (dataDir) => dataDir,
  },
  csv: {
    expects: "give the CSV file that names the images",
    async list(dataDir, options) {
      const { readManifest } = await import("./manifest.ts"); // loaded on demand, because its CSV parser is slow to load
      return readManifest(dataDir, options);
    },
    root: dirname,
  },
};
