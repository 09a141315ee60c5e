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
import { type LabelledImages, listClassFolder } from "./sources/class-folder.ts";
import { colorClasses } from "./sources/color-mnist.ts";
import { addDecoys, DECOY_VARIANTS, type DecoyVariant } from "./sources/decoy.ts";
import { FASHION_CLASSES, FASHION_NORMALIZATION, readFashionMnist } from "./sources/fashion-mnist.ts";
import type { ByteSplit } from "./sources/idx.ts";
import { channelStatistics, loadLabelled } from "./sources/labelled-dataset.ts";
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
  /** Where the files name one. */
  readonly val?: Split;
  readonly test: Split;
  /** Files that were left out, and why. */
  readonly warnings?: readonly string[];
  /** Digest of one's own files, the same wherever they lie: of paths, classes, named splits and bytes. */
  readonly digest?: string;
}

const DIGITS = Array.from({ length: 10 }, (_, digit) => String(digit));

export interface DatasetOptions {
  /**
   * Folder of the data set's files, of the images that are decoyed for a decoy set; without it, the installed or cached copy. For
   * "csv" the file itself.
   */
  dataDir?: string;
  /** Recipe of a decoy set: "rrr" (default) or "cdep". */
  decoyVariant?: DecoyVariant;
  /** Seed of a decoy set's patches, and of the choice of test images where a folder names none (0). */
  seed?: number;
  /** Images of one's own: height and width that they are brought to (64). */
  imageSize?: number;
  /** Images of one's own: 1 for grey, 3 for RGB (3). */
  imageChannels?: 1 | 3;
  /** Images of one's own: how they come to that size ("cover"). */
  imageFit?: ImageFit;
  /**
   * Images of one's own: share that becomes the test split where the files name none (0.2). Each image is drawn by its path and the
   * seed, so that adding one moves no other, except in a class of which none is drawn; every class of two images or more has one in both splits.
   */
  testFraction?: number;
  /** Images of one's own: whether a file that cannot be read ends the loading ("fail") or is left out and reported. */
  badImages?: "fail" | "skip";
  /** Images of one's own: whether links are followed out of the folder, and to folders; without it they are left out. */
  followLinks?: boolean;
  /** Images of one's own: the split that some of them are known to be in where the files name none; the others are drawn. */
  earlier?: EarlierSplit | undefined;
  /** Images of one's own: "order" draws the test split as versions did whose runs keep no record of their data. */
  draw?: "path" | "order" | undefined;
  /** Aborting it while images of one's own are decoded rejects with its reason. */
  signal?: AbortSignal;
}

/** Reads a data set. */
export type DatasetLoader = (options: DatasetOptions) => Promise<Dataset>;

/** A data set that is known by name. */
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
  folder: loadFolder,
  csv: loadCsv,
  npz: loadNpz,
};

const KNOWN: Registry<NamedDataset> = registryOf(DATASETS.map((set) => ({ ...set, load: LOADERS[set.name] })));

const OPTIONS = [
  ...(["dataDir", "decoyVariant", "seed", "imageSize", "imageChannels", "imageFit", "testFraction"] as const),
  ...(["badImages", "followLinks", "earlier", "draw", "signal"] as const),
] as const;

/**
 * Loads a data set into one uint8 image tensor and one label tensor per split. An unknown name is E_CONFIG and is
 * answered with the nearest one; missing or damaged files are E_DATA. The caller frees it with `disposeDataset`.
 */
export async function loadDataset(name: string, options: DatasetOptions = {}): Promise<Dataset> {
  return loadDatasetOf(KNOWN, name, optionsOf("loadDataset", options, OPTIONS));
}

/** `loadDataset` with a registry of data sets. */
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

/** Says which data set reads what `dataDir` names, where that is data of one's own. */
function withOwnData(error: BatchCamError, dataDir: string): BatchCamError {
  const own = ownDataset(dataDir);
  if (own === undefined) return error;
  const message = `${error.message}. ${dataDir} ${own.holds}: to load that, give { dataset: "${own.name}" }`;
  return new BatchCamError("E_DATA", message, { cause: error });
}

/** An option that the data set would ignore is a mistake of the caller's. */
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

/** Patches of the training cue in the training images, of the recipe's own test cue in the test images. */
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

/** The class's colour in the training images, that of class 9 − y in the test images. */
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

async function loadFolder(options: DatasetOptions): Promise<Dataset> {
  const folder = expectDataDir("folder", "the folder that holds the images, one subfolder a class", options);
  return labelled("folder", await listClassFolder(folder, { followLinks: options.followLinks ?? false }), options);
}

async function loadCsv(options: DatasetOptions): Promise<Dataset> {
  const file = expectDataDir("csv", "the CSV file that names the images", options);
  const { readManifest } = await import("./sources/manifest.ts"); // its parser takes longer to load than most commands need
  return labelled("csv", await readManifest(file, { followLinks: options.followLinks ?? false }), options);
}

async function loadNpz(options: DatasetOptions): Promise<Dataset> {
  const { readMedMnist } = await import("./sources/medmnist.ts"); // as above, of zip files
  const file = expectDataDir("npz", "the .npz file", options);
  const splits = await readMedMnist(file);
  const { numClasses, classNames, normalization } = splits.train;
  return { name: "npz", numClasses, classNames, normalization, ...splits, digest: await fileDigest(file) };
}

function expectDataDir(name: DatasetName, what: string, { dataDir }: DatasetOptions): string {
  if (dataDir !== undefined) return dataDir;
  throw new BatchCamError("E_CONFIG", `loadDataset: ${name}: dataDir is missing: ${what}`);
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

/** The bytes of a split as tensors. */
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
