import {
  describeValue,
  expectInteger,
  expectNumber,
  expectPath,
  expectSignal,
  objectOf,
  optionsOf,
  wrongArgument,
} from "../arguments.ts";
import { unusedMessage, unusedOptions } from "../config/internal.ts";
import { BatchCamError } from "../errors.ts";
import { type Registry, registryOf } from "../registry.ts";
import { tensor } from "../tensor/index.ts";
import { DATASETS, type DatasetDescription, type DatasetName } from "./description.ts";
import type { ImageFit } from "./images/resize.ts";
import type { EarlierSplit } from "./record/data-record.ts";
import { fileDigest, rootOf } from "./record/dataset-digest.ts";
import type { LabelledImages } from "./sources/class-folder.ts";
import { colorClasses } from "./sources/color-mnist.ts";
import { addDecoys, DECOY_VARIANTS, type DecoyVariant } from "./sources/decoy.ts";
import { FASHION_CLASSES, FASHION_NORMALIZATION, readFashionMnist } from "./sources/fashion-mnist.ts";
import type { ByteSplit } from "./sources/idx.ts";
import { channelStatistics, loadLabelled } from "./sources/labelled-dataset.ts";
import { LISTED_SOURCES, type ListedSource } from "./sources/listed-sources.ts";
import { MNIST_NORMALIZATION, readMnist } from "./sources/mnist.ts";
import { ownDataset } from "./sources/own-dataset.ts";
import { coverageWarnings } from "./splits/class-coverage.ts";
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

const DIGITS = Array.from({ length: 10 }, (_, digit) => String(digit));

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

/** An entry of the registry of data sets: its description and its loader. */
export interface NamedDataset extends DatasetDescription {
  readonly load: DatasetLoader;
}

const LOADERS: Readonly<Record<DatasetName, DatasetLoader>> = {
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

const KNOWN: Registry<NamedDataset> = registryOf(DATASETS.map((set) => ({ ...set, load: LOADERS[set.name] })));

const OPTIONS = [
  ...(["dataDir", "decoyVariant", "seed", "imageSize", "imageChannels", "imageFit", "testFraction"] as const),
  ...(["badImages", "followLinks", "earlier", "draw", "signal"] as const),
] as const;

/**
 * Loads a data set. Each split has one uint8 image tensor (N, C, H, W) and one int64 label tensor (N). The caller frees
 * them with `disposeDataset`.
 *
 * @param name one of `DATASETS`
 * @throws E_CONFIG for an unknown name, with the nearest known one, and for options that the data set does not use;
 *   E_DATA for missing or damaged files
 */
export async function loadDataset(name: string, options: DatasetOptions = {}): Promise<Dataset> {
  return loadDatasetOf(KNOWN, name, optionsOf("loadDataset", options, OPTIONS));
}

/** `loadDataset` with the data sets of any registry. */
export async function loadDatasetOf(
  sets: Registry<NamedDataset>,
  name: string,
  options: DatasetOptions = {},
): Promise<Dataset> {
  const set = sets.find(name);
  if (set === undefined) {
    const known = sets.names.map((each) => `"${each}"`).join(", ");
    const got = `${describeValue(name)}${sets.hint(name)}`;
    throw new BatchCamError("E_CONFIG", `loadDataset: name must be one of ${known}, got ${got}`);
  }
  expectUsed(sets, name, options);
  const { dataDir, decoyVariant, seed, imageSize, testFraction } = options;
  if (dataDir !== undefined) expectPath("loadDataset: dataDir", dataDir);
  if (seed !== undefined) expectInteger("loadDataset: seed", seed, 0);
  if (decoyVariant !== undefined && !DECOY_VARIANTS.includes(decoyVariant))
    throw wrongArgument("loadDataset: decoyVariant", '"rrr" or "cdep"', decoyVariant);
  expectSignal("loadDataset: signal", options.signal);
  if (imageSize !== undefined) expectInteger("loadDataset: imageSize", imageSize, 4, 1024);
  if (testFraction !== undefined)
    expectNumber("loadDataset: testFraction", testFraction, "be between 0 and 1", (n) => n > 0 && n < 1);
  try {
    return withCoverage(await set.load(options));
  } catch (error) {
    const unread = error instanceof BatchCamError && error.code === "E_DATA";
    if (!unread || dataDir === undefined || set.own) throw error;
    throw withOwnData(error, dataDir);
  }
}

/** If `dataDir` contains a user's own data, adds to the error which data set can load it. */
function withOwnData(error: BatchCamError, dataDir: string): BatchCamError {
  const own = ownDataset(dataDir);
  if (own === undefined) return error;
  const message = `${error.message}. ${dataDir} ${own.holds}: to load that, give { dataset: "${own.name}" }`;
  return new BatchCamError("E_DATA", message, { cause: error });
}

/** Refuses an option that the data set would ignore, because it is probably a mistake. */
function expectUsed({ items }: Registry<NamedDataset>, name: string, { seed, ...given }: DatasetOptions): void {
  const [unused] = unusedOptions(name, { ...given, dataSeed: seed }, items);
  if (unused === undefined) return;
  const option = unused === "dataSeed" ? "seed" : unused;
  throw new BatchCamError("E_CONFIG", `loadDataset: ${unusedMessage(unused, name, { as: option, datasets: items })}`);
}

function withCoverage(dataset: Dataset): Dataset {
  const warnings = [...(dataset.warnings ?? []), ...coverageWarnings([dataset.val, dataset.test])];
  return warnings.length === 0 ? dataset : { ...dataset, warnings };
}

/** Frees the tensors of a data set. */
export function disposeDataset(dataset: Dataset): void {
  const { train, val, test } = objectOf("disposeDataset: dataset", dataset);
  const splits = val === undefined ? [train, test] : [train, val, test];
  for (const split of splits) objectOf("disposeDataset: a split", split);
  for (const split of splits) disposeSplit(split);
}

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
