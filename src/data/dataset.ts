import { describeValue, expectPath, objectOf, optionsOf, wrongArgument } from "../arguments.ts";
import { DATASET_NAMES, type DatasetName, hint } from "../config/index.ts";
import { BatchCamError } from "../errors.ts";
import { isTensor } from "../tensor/core.ts";
import { expectShapes } from "../tensor/expect.ts";
import { type Tensor, tensor } from "../tensor/index.ts";
import { expectClassCount } from "../tensor/labels.ts";
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

export interface DatasetOptions {
  /** Folder of the data set's files; without it, the installed copy. */
  dataDir?: string;
}

const LOADERS = { mnist: loadMnist, "fashion-mnist": loadFashionMnist } satisfies Record<
  DatasetName,
  (options: DatasetOptions) => Promise<Dataset>
>;

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
  if (options.dataDir !== undefined) expectPath("loadDataset: dataDir", options.dataDir);
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
}

async function loadMnist({ dataDir }: DatasetOptions): Promise<Dataset> {
  const classNames = Array.from({ length: 10 }, (_, digit) => String(digit));
  return datasetOf("mnist", await readMnist(dataDir), { classNames, normalization: MNIST_NORMALIZATION });
}

async function loadFashionMnist({ dataDir }: DatasetOptions): Promise<Dataset> {
  const about = { classNames: FASHION_CLASSES, normalization: FASHION_NORMALIZATION };
  return datasetOf("fashion-mnist", await readFashionMnist(dataDir), about);
}

function datasetOf(
  name: DatasetName,
  bytes: { train: ByteSplit; test: ByteSplit },
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

function tensors({ shape, images, labels }: ByteSplit): { images: Tensor; labels: Tensor } {
  return {
    images: tensor(images, { shape: [...shape], dtype: "uint8" }),
    labels: tensor(labels, { shape: [shape[0]], dtype: "int64" }),
  };
}
