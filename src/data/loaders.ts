import { BatchCamError } from "../errors.ts";
import { tensor } from "../tensor/index.ts";
import type { Dataset, DatasetLoader, DatasetOptions } from "./dataset.ts";
import type { DatasetName } from "./description.ts";
import { fileDigest, rootOf } from "./record/dataset-digest.ts";
import type { LabelledImages } from "./sources/class-folder.ts";
import { colorClasses } from "./sources/color-mnist.ts";
import { addDecoys } from "./sources/decoy.ts";
import { FASHION_CLASSES, FASHION_NORMALIZATION, readFashionMnist } from "./sources/fashion-mnist.ts";
import type { ByteSplit } from "./sources/idx.ts";
import { channelStatistics, loadLabelled } from "./sources/labelled-dataset.ts";
import { LISTED_SOURCES, type ListedSource } from "./sources/listed-sources.ts";
import { MNIST_NORMALIZATION, readMnist } from "./sources/mnist.ts";
import type { Normalization, Split } from "./splits/split.ts";

const DIGITS = Array.from({ length: 10 }, (_, digit) => String(digit));

/** The loader of each data set. */
export const LOADERS: Readonly<Record<DatasetName, DatasetLoader>> = {
  mnist: loadMnist,
  "fashion-mnist": loadFashionMnist,
  "decoy-mnist": async (options) =>
    decoyed("decoy-mnist", await readMnist(options.dataDir), { classNames: DIGITS, ...options }),
  "decoy-fashion-mnist": async (options) =>
    decoyed("decoy-fashion-mnist", await readFashionMnist(options.dataDir), {
      classNames: FASHION_CLASSES,
      ...options,
    }),
  "color-mnist": async ({ dataDir }) => colored(await readMnist(dataDir)),
  folder: (options) => loadListed("folder", options),
  csv: (options) => loadListed("csv", options),
  npz: loadNpz,
};

async function loadMnist({ dataDir }: DatasetOptions): Promise<Dataset> {
  return datasetOf("mnist", await readMnist(dataDir), { classNames: DIGITS, normalization: MNIST_NORMALIZATION });
}

async function loadFashionMnist({ dataDir }: DatasetOptions): Promise<Dataset> {
  const about = { classNames: FASHION_CLASSES, normalization: FASHION_NORMALIZATION };
  return datasetOf("fashion-mnist", await readFashionMnist(dataDir), about);
}

/** Adds patches with the training cue to the training images, and patches with the recipe's test cue to the test images. */
function decoyed(
  name: DatasetName,
  clean: { train: ByteSplit; test: ByteSplit },
  options: DatasetOptions & { classNames: readonly string[] },
): Dataset {
  const { decoyVariant: variant = "rrr", seed = 0, classNames } = options;
  const train = addDecoys(clean.train, { variant, cue: "train", seed, name: "train" });
  const test = addDecoys(clean.test, { variant, cue: "test", seed, name: "test" });
  return datasetOf(name, { train, test }, { classNames, normalization: greyStatistics(train) });
}

/** Paints the training images in the colour of their class y, and the test images in that of class 9 − y. */
function colored(grey: { train: ByteSplit; test: ByteSplit }): Dataset {
  const train = colorClasses(grey.train, "train");
  const [, channels, height, width] = train.shape;
  const normalization = channelStatistics(train.images, { channels, size: [height, width] });
  return datasetOf(
    "color-mnist",
    { train, test: colorClasses(grey.test, "test") },
    { classNames: DIGITS, normalization },
  );
}

/** Loads the images that a folder or a file of the user's own names. */
async function loadListed(name: DatasetName, options: DatasetOptions): Promise<Dataset> {
  const source = LISTED_SOURCES[name] as ListedSource;
  const dataDir = expectDataDir(name, source.expects, options);
  return labelled(name, await source.list(dataDir, { followLinks: options.followLinks ?? false }), options);
}

async function loadNpz(options: DatasetOptions): Promise<Dataset> {
  const { readMedMnist } = await import("./sources/medmnist.ts"); // loaded on demand, because its zip reader is slow to load
  const file = expectDataDir("npz", "give the .npz file", options);
  const splits = await readMedMnist(file);
  const { numClasses, classNames, normalization } = splits.train;
  return { name: "npz", numClasses, classNames, normalization, ...splits, digest: await fileDigest(file) };
}

function expectDataDir(name: DatasetName, what: string, { dataDir }: DatasetOptions): string {
  if (dataDir !== undefined) return dataDir;
  throw new BatchCamError("E_CONFIG", `loadDataset: ${name}: dataDir is missing; ${what}`);
}

async function labelled(name: DatasetName, images: LabelledImages, options: DatasetOptions): Promise<Dataset> {
  const { dataDir: source = "", imageSize = 64, imageChannels = 3, imageFit = "cover", badImages = "fail" } = options;
  const splits = await loadLabelled(images, {
    ...{ source, channels: imageChannels, size: [imageSize, imageSize], fit: imageFit, badImages },
    ...{ testFraction: options.testFraction ?? 0.2, seed: options.seed ?? 0 },
    ...{ root: rootOf(name, source) as string, earlier: options.earlier, draw: options.draw },
    ...(options.signal ? { signal: options.signal } : {}),
  });
  const { numClasses, classNames, normalization } = splits.train;
  return { name, numClasses, classNames, normalization, ...splits };
}

const greyStatistics = ({ images, shape: [, , height, width] }: ByteSplit): Normalization =>
  channelStatistics(images, { channels: 1, size: [height, width] });

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
    train: { name: "train", ...splitTensors(bytes.train), ...common },
    test: { name: "test", ...splitTensors(bytes.test), ...common },
  };
}

/** Copies the bytes of a split into tensors. */
export function splitTensors({
  shape,
  images,
  labels,
  masks,
}: BytesOfSplits["train"]): Pick<Split, "images" | "labels" | "masks"> {
  const [count, , height, width] = shape;
  return {
    images: tensor(images, { shape: [...shape], dtype: "uint8" }),
    labels: tensor(labels, { shape: [count], dtype: "int64" }),
    ...(masks === undefined ? {} : { masks: tensor(masks, { shape: [count, height, width], dtype: "uint8" }) }),
  };
}
