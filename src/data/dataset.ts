import { describeValue, expectInteger, expectPath, objectOf, optionsOf, wrongArgument } from "../arguments.ts";
import { DATASET_NAMES, type DatasetName, hint } from "../config/index.ts";
import { BatchCamError } from "../errors.ts";
import { isTensor } from "../tensor/core.ts";
import { expectShapes } from "../tensor/expect.ts";
import { type Tensor, tensor } from "../tensor/index.ts";
import { expectClassCount } from "../tensor/labels.ts";
import { addDecoys, DECOY_VARIANTS, type DecoyVariant } from "./decoy.ts";
import { FASHION_CLASSES, FASHION_NORMALIZATION, readFashionMnist } from "./fashion-mnist.ts";
import type { ByteSplit } from "./idx-splits.ts";
import { MNIST_NORMALIZATION, readMnist } from "./mnist.ts";

/** Mean and standard deviation of the training pixels in [0,1], one figure per channel. */
export interface Normalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** One part of a data set, whole in memory. */
export interface Split {
  readonly name: "train" | "val" | "test";
  /** uint8 (N,C,H,W), 0 to 255. */
  readonly images: Tensor;
  /** int64 (N), 0 to numClasses − 1. */
  readonly labels: Tensor;
  /** uint8 (N,H,W), 1 where an image holds what should not matter (a decoy's patch); absent where that is not known. */
  readonly masks?: Tensor;
  readonly numClasses: number;
  readonly classNames: readonly string[];
  readonly normalization: Normalization;
}

/** A named data set with its two original splits. */
export interface Dataset {
  readonly name: DatasetName;
  readonly numClasses: number;
  readonly classNames: readonly string[];
  readonly normalization: Normalization;
  readonly train: Split;
  readonly test: Split;
}

const DIGITS = Array.from({ length: 10 }, (_, digit) => String(digit));

export interface DatasetOptions {
  /** Folder of the data set's files, of the images that are decoyed for a decoy set; without it, the installed or cached copy. */
  dataDir?: string;
  /** Recipe of a decoy set: "rrr" (default) or "cdep". */
  decoyVariant?: DecoyVariant;
  /** Seed of a decoy set's patches (0). */
  seed?: number;
}

const LOADERS = {
  mnist: loadMnist,
  "fashion-mnist": loadFashionMnist,
  "decoy-mnist": async (options) =>
    decoyed("decoy-mnist", await readMnist(options.dataDir), { classNames: DIGITS, ...options }),
  "decoy-fashion-mnist": async (options) =>
    decoyed("decoy-fashion-mnist", await readFashionMnist(options.dataDir), {
      classNames: FASHION_CLASSES,
      ...options,
    }),
} satisfies Record<DatasetName, (options: DatasetOptions) => Promise<Dataset>>;

/**
 * Loads a data set into one uint8 image tensor and one label tensor per split. An unknown name is E_CONFIG and is
 * answered with the nearest one; missing or damaged files are E_DATA. The caller frees it with `disposeDataset`.
 */
export async function loadDataset(name: string, options: DatasetOptions = {}): Promise<Dataset> {
  optionsOf("loadDataset", options);
  if (typeof name !== "string" || !Object.hasOwn(LOADERS, name)) {
    const known = DATASET_NAMES.map((known) => `"${known}"`).join(", ");
    const got = typeof name === "string" ? `"${name}"${hint(name, DATASET_NAMES)}` : describeValue(name);
    throw new BatchCamError("E_CONFIG", `loadDataset: name must be one of ${known}, got ${got}`);
  }
  const { dataDir, decoyVariant, seed } = options;
  if (dataDir !== undefined) expectPath("loadDataset: dataDir", dataDir);
  if (seed !== undefined) expectInteger("loadDataset: seed", seed, 0);
  if (decoyVariant !== undefined && !DECOY_VARIANTS.includes(decoyVariant))
    throw wrongArgument("loadDataset: decoyVariant", '"rrr" or "cdep"', decoyVariant);
  return LOADERS[name as DatasetName](options);
}

/** Fails for what is no split: two live tensors, (N,C,H,W) and (N), and what belongs to them. */
export function expectSplit(operation: string, split: Split): void {
  const { images, labels, numClasses } = objectOf(`${operation}: split`, split);
  expectShapes(operation, { "split.images": [images, "N C H W"], "split.labels": [labels, "N"] });
  expectClassCount(operation, numClasses);
}

/** Frees the tensors of a data set. */
export function disposeDataset(dataset: Dataset): void {
  const { train, test } = objectOf("disposeDataset: dataset", dataset);
  for (const split of [train, test]) objectOf("disposeDataset: a split", split);
  disposeSplit(train);
  disposeSplit(test);
}

/** Frees the tensors of a split. */
export function disposeSplit(split: Split): void {
  const { images, labels } = objectOf("disposeSplit: split", split);
  for (const [name, tensor] of Object.entries({ images, labels }))
    if (!isTensor(tensor)) throw wrongArgument(`disposeSplit: ${name}`, "a Tensor", tensor);
  images.dispose();
  labels.dispose();
  split.masks?.dispose();
}

async function loadMnist({ dataDir }: DatasetOptions): Promise<Dataset> {
  return datasetOf("mnist", await readMnist(dataDir), { classNames: DIGITS, normalization: MNIST_NORMALIZATION });
}

async function loadFashionMnist({ dataDir }: DatasetOptions): Promise<Dataset> {
  const about = { classNames: FASHION_CLASSES, normalization: FASHION_NORMALIZATION };
  return datasetOf("fashion-mnist", await readFashionMnist(dataDir), about);
}

/** Patches of the training cue in the training images, of the recipe's own test cue in the test images. */
function decoyed(
  name: DatasetName,
  clean: { train: ByteSplit; test: ByteSplit },
  options: DatasetOptions & { classNames: readonly string[] },
): Dataset {
  const { decoyVariant: variant = "rrr", seed = 0, classNames } = options;
  const train = addDecoys(clean.train, { variant, cue: "train", seed, name: "train" });
  const test = addDecoys(clean.test, { variant, cue: "test", seed, name: "test" });
  return datasetOf(name, { train, test }, { classNames, normalization: statistics(train.images) });
}

/** Mean and deviation of grey pixels in [0, 1]. */
function statistics(pixels: Uint8Array): Normalization {
  const counts = new Float64Array(256);
  for (const value of pixels) counts[value] = (counts[value] as number) + 1;
  const moment = (power: number) =>
    counts.reduce((sum, n, value) => sum + n * (value / 255) ** power, 0) / pixels.length;
  const mean = moment(1);
  return { mean: [mean], std: [Math.sqrt(moment(2) - mean ** 2)] };
}

interface BytesOfSplits {
  train: ByteSplit & { masks?: Uint8Array };
  test: ByteSplit & { masks?: Uint8Array };
}

function datasetOf(
  name: DatasetName,
  bytes: BytesOfSplits,
  about: Pick<Dataset, "classNames" | "normalization">,
): Dataset {
  const common = { numClasses: about.classNames.length, ...about };
  return {
    name,
    ...common,
    train: { name: "train", ...tensors(bytes.train), ...common },
    test: { name: "test", ...tensors(bytes.test), ...common },
  };
}

function tensors({ shape, images, labels, masks }: BytesOfSplits["train"]): Pick<Split, "images" | "labels" | "masks"> {
  const [count, , height, width] = shape;
  return {
    images: tensor(images, { shape: [...shape], dtype: "uint8" }),
    labels: tensor(labels, { shape: [count], dtype: "int64" }),
    ...(masks === undefined ? {} : { masks: tensor(masks, { shape: [count, height, width], dtype: "uint8" }) }),
  };
}
