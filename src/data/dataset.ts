import { objectOf } from "../arguments.ts";
import type { DatasetName } from "./description.ts";
import type { ImageFit } from "./images/resize.ts";
import type { EarlierSplit } from "./record/data-record.ts";
import type { DecoyVariant } from "./sources/decoy.ts";
import { disposeSplit, type Normalization, type Split } from "./splits/split.ts";

/** A named data set with the splits that it comes with. */
export interface Dataset {
  readonly name: DatasetName;
  readonly numClasses: number;
  readonly classNames: readonly string[];
  readonly normalization: Normalization;
  readonly train: Split;
  /** Present if the files name a validation split. */
  readonly val?: Split;
  readonly test: Split;
  /** Files that were left out, with the reasons. */
  readonly warnings?: readonly string[];
  /** Digest of a user's own files: of their paths, classes, named splits and bytes. Moving the folder does not change it. */
  readonly digest?: string;
}

export interface DatasetOptions {
  /**
   * Folder of the data set's files; of a decoy set, the folder of the original images. Without it, the installed or
   * cached copy is used. For "csv" it is the CSV file, and for "npz" the .npz file.
   */
  dataDir?: string;
  /** Recipe of a decoy set: "rrr" (default) or "cdep". */
  decoyVariant?: DecoyVariant;
  /** Seed of a decoy set's patches, and of the draw of test images if a folder names no test split (0). */
  seed?: number;
  /** For a user's own images: the height and width that they are resized to (64). */
  imageSize?: number;
  /** For a user's own images: 1 for grey, 3 for RGB (3). */
  imageChannels?: 1 | 3;
  /** For a user's own images: how they are fitted to that size ("cover"). */
  imageFit?: ImageFit;
  /**
   * For a user's own images: the share that becomes the test split if the files do not name one (0.2). Each image is
   * drawn by its path and the seed, so that adding an image does not move others. The exception is a class of which no
   * image would be drawn: every class of two or more images has at least one image in both splits.
   */
  testFraction?: number;
  /**
   * For a user's own images: whether a file that cannot be read is an error ("fail", the default) or is left out with a
   * warning ("skip").
   */
  badImages?: "fail" | "skip";
  /** For a user's own images: whether to follow links that leave the folder and links to folders (false: they are left out). */
  followLinks?: boolean;
  /**
   * For a user's own images without named splits: looks up the split that an image is known to be in. The other images
   * are drawn.
   */
  earlier?: EarlierSplit | undefined;
  /**
   * For a user's own images: "order" draws the test split as earlier versions did, to resume their runs, which keep no
   * record of their data.
   */
  draw?: "path" | "order" | undefined;
  /** Aborts the decoding of a user's own images: the promise rejects with the reason of the signal. */
  signal?: AbortSignal;
}

/** The function that loads a data set. */
export type DatasetLoader = (options: DatasetOptions) => Promise<Dataset>;

/** Frees the tensors of a data set. */
export function disposeDataset(dataset: Dataset): void {
  const { train, val, test } = objectOf("disposeDataset: dataset", dataset);
  const splits = val === undefined ? [train, test] : [train, val, test];
  for (const split of splits) objectOf("disposeDataset: a split", split);
  for (const split of splits) disposeSplit(split);
}
