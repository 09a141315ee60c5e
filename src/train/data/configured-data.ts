import type { DatasetName, TrainConfig } from "../../config/index.ts";
import type { dataFields } from "../../config/internal.ts";
import { DATASET_OPTIONS, GIVEN, OWN_DATA, usesOption } from "../../config/internal.ts";
import { counted, wordFor } from "../../counted.ts";
import {
  type Dataset,
  type DatasetOptions,
  loadDataset,
  type Split,
  type SplitName,
  splitValidation,
} from "../../data/index.ts";
import {
  coverageWarnings,
  type DataRecord,
  dataRecord,
  drawValidation,
  earlierSplits,
  identicalImages,
  identicalWarnings,
  imageHashes,
  inRecordedOrder,
  leftOutDifferences,
  listedIn,
  rootOf,
  steadyFraction,
  thinWarnings,
  underClassesOf,
} from "../../data/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { type GivenSplits, givenParts } from "./given-splits.ts";
import { normalizedSplits } from "./normalization.ts";
import { limited, limitWarnings, OwnedSplits, overfitted, type Parts, type WithValidation } from "./owned-splits.ts";

/** The images that a config names, divided into splits. */
export interface ConfiguredData {
  train: Split;
  val: Split;
  /** Null if a program passed no test split. */
  test: Split | null;
  /** Warnings if the data set has fewer images than the config asks for. */
  warnings: string[];
  /** The record of these images that a run keeps. It is made before the number of images is limited. */
  record: DataRecord;
  /** Folder that the images' paths are relative to; null if the images are not files. */
  root: string | null;
  dispose: () => void;
}

export interface LoadDataOptions {
  signal?: AbortSignal | undefined;
  given?: GivenSplits | undefined;
  /** The run's record of its data. Images in the record keep their split and their order. */
  run?: DataRecord | undefined;
  /** Whether images that differ from the record are accepted, under the run's classes and normalisation. */
  adapt?: boolean;
  /** Whether the run will be trained on them. */
  trains?: boolean;
  /** The only split that is used, to judge a model that was trained elsewhere: warnings are about it alone. */
  judged?: JudgedSplit | undefined;
  /** "order" draws validation images as earlier versions did, whose runs have no record of their data. */
  draw?: "path" | "order";
}

/** A split that models are judged on. */
export type JudgedSplit = Exclude<SplitName, "train">;

export async function loadData(config: TrainConfig, options: LoadDataOptions = {}): Promise<ConfiguredData> {
  const { run, adapt = false, trains = false, given, judged } = options;
  const owned = new OwnedSplits(Object.values(given ?? {}));
  try {
    const { digest = null, warnings: all, parts: found } = await providedSplits(config, options);
    owned.add(found);
    const warnings = judged === undefined ? all : all.filter((warning) => !ofOthers(found, judged).includes(warning));
    const what = given === undefined ? `loadDataset: ${config.dataDir ?? config.dataset}` : "train: data";
    const {
      splits,
      warnings: left,
      leftOut,
    } = run && adapt
      ? underClassesOf(run, found, { what, trains })
      : { splits: found, warnings: [], leftOut: undefined };
    owned.add(splits);
    const { parts, valFraction } = withValidation(splits, config, options);
    owned.add(parts);
    const ordered = run === undefined ? parts : asOf(run, parts, given);
    owned.add(ordered);
    const about = { dataset: given === undefined ? config.dataset : null, valFraction, source: digest };
    const own = given !== undefined || config.dataDir !== undefined;
    const record = { ...dataRecord(ordered, about, { unnamed: own }), ...(leftOut === undefined ? {} : { leftOut }) };
    const isNew = run !== undefined && (run.leftOut === undefined || leftOutDifferences(run, record).length > 0);
    const whole = { ...ordered, ...(config.overfitBatches === undefined ? {} : overfitted(ordered.train, config)) };
    owned.add(whole);
    const final = limited(whole as WithValidation, config);
    const faults = faultWarnings(ordered, { config, given, found, judged });
    const limits = limitWarnings(config, { found, whole: whole as WithValidation });
    owned.keep(final);
    return {
      ...final,
      test: final.test ?? null,
      warnings: [...warnings, ...(isNew ? left : []), ...faults, ...limits],
      record,
      root:
        given !== undefined || config.dataset === GIVEN || config.dataDir === undefined
          ? null
          : rootOf(config.dataset, config.dataDir),
      dispose: () => owned.dispose(),
    };
  } catch (error) {
    owned.dispose();
    throw error;
  }
}

/** The splits as the data set or the program provides them, before any validation images are held out. */
async function providedSplits(
  config: TrainConfig,
  { given, run, adapt = false, draw, signal }: LoadDataOptions,
): Promise<{ parts: Parts; warnings: readonly string[]; digest?: string | undefined }> {
  if (given !== undefined) return { parts: givenParts(given, config), warnings: [] };
  const loaded = await loadDataset(namedDataset(config), {
    ...datasetOptions(config),
    ...{ draw, earlier: run && earlierSplits(run, { byContent: adapt }) },
    ...(signal ? { signal } : {}),
  });
  const { warnings = [], digest } = loaded;
  const parts = normalizedSplits(splitsOf(loaded), config);
  return { parts: draw === "order" ? withoutPaths(parts) : parts, warnings, digest };
}

/** The data set that a config names. A run's images that a program gave are nowhere to be found. */
function namedDataset({ dataset }: TrainConfig): DatasetName {
  if (dataset !== GIVEN) return dataset;
  throw new BatchCamError("E_DATA", "data: a program gave this run its images, so that it has to give them again");
}

const splitsOf = ({ train, val, test }: Dataset): Parts => ({ train, ...(val === undefined ? {} : { val }), test });

/** The loader's warnings about the split that is not judged. */
const ofOthers = ({ val, test }: Parts, judged: JudgedSplit): string[] =>
  coverageWarnings([judged === "test" ? val : test]);

/** Warnings about a run's images: classes with few images, and images with the same content. */
function faultWarnings(
  { train, val, test }: Parts,
  {
    config,
    given,
    found,
    judged,
  }: { config: TrainConfig; given: GivenSplits | undefined; found: Parts; judged: JudgedSplit | undefined },
): string[] {
  // The built-in data sets never change and have classes of about the same size, so they need no warnings.
  if (given === undefined && !OWN_DATA.has(config.dataset)) return [];
  const used = judged === undefined ? [train, val, test] : [{ test, val }[judged]];
  const splits = used.filter((split) => split !== undefined);
  const what = given === undefined ? (config.dataDir ?? config.dataset) : "data";
  const identical = identicalWarnings(identicalImages(splits), what);
  if (config.fastDevRun || config.overfitBatches !== undefined) return identical;
  // Loading the data set has already warned about classes without images in its own splits.
  const unknown = given === undefined ? splits.filter((split) => split === val && found.val === undefined) : splits;
  return [
    ...coverageWarnings(unknown, { trains: judged === undefined }),
    ...thinWarnings(splits, { trains: judged === undefined }),
    ...identical,
  ];
}

const eachSplit = (parts: Parts, fn: (split: Split) => Split): Parts =>
  Object.fromEntries(Object.entries(parts).map(([name, split]) => [name, fn(split)])) as Parts;

/** Images without paths are drawn by their position. */
const withoutPaths = (parts: Parts): Parts =>
  eachSplit(parts, ({ paths: _, hashes: __, maskHashes: ___, ...split }) => split);

/** Adapts splits to a run: to the order of its images, and to its normalisation, which is that of its first training images. */
const asOf = (run: DataRecord, parts: Parts, given: GivenSplits | undefined): Parts =>
  eachSplit(parts, (split) => {
    const ordered = inRecordedOrder(split, run);
    return given === undefined ? { ...ordered, normalization: run.normalization } : ordered;
  });

/** The options of a config that the data set uses. */
export function datasetOptions(config: Pick<TrainConfig, keyof typeof dataFields>): DatasetOptions {
  const { dataDir, dataset } = config;
  const used = DATASET_OPTIONS.filter((option) => usesOption(dataset, option));
  const { dataSeed, ...options } = Object.fromEntries(used.map((option) => [option, config[option]]));
  return {
    ...options,
    ...(dataSeed === undefined ? {} : { seed: dataSeed as number }),
    ...(dataDir === undefined ? {} : { dataDir }),
  };
}

/** Uses the data set's own validation split, or holds one out of the training images. A run with `overfit` has none. */
function withValidation(
  parts: Parts,
  { valImages, seed, overfitBatches }: TrainConfig,
  { run, adapt = false }: { run?: DataRecord | undefined; adapt?: boolean },
): { parts: Parts; valFraction: number | null } {
  const { train } = parts;
  if (parts.val !== undefined || overfitBatches !== undefined) return { parts, valFraction: null };
  const count = train.labels.numel;
  if ((valImages ?? 1) >= count) {
    const left = `valImages is ${valImages ?? 1}, but there ${wordFor(count, "is", "are")} only ${counted(count, "training image")}: hold out fewer, so that some are left to train on`;
    throw new BatchCamError("E_CONFIG", left);
  }
  const { paths, hashes } = train;
  if (paths === undefined || hashes === undefined) {
    const known = adapt ? decidedByContent(train, seed, run) : null;
    return { parts: { ...parts, ...(known ?? heldOutValidation(train, { valImages, seed })) }, valFraction: null };
  }
  const earlier = run && earlierSplits(run, { byContent: adapt });
  const decided = (place: number) => {
    const before = earlier?.({ relative: paths[place] as string, hash: hashes[place] as string });
    return before === undefined || before === "test" ? undefined : before === "val";
  };
  const fraction = run?.valFraction ?? validationFraction(train, valImages);
  return { parts: { ...parts, ...drawValidation(train, seed, { fraction, decided }) }, valFraction: fraction };
}

/**
 * Splits changed images without paths in the same way as the run did: an image whose content is in the run's record keeps its split, and
 * the others are drawn by their contents, with the same share. Returns null if the run has no record of its images' contents.
 */
function decidedByContent(
  train: Split,
  seed: number,
  run: DataRecord | undefined,
): { train: Split; val: Split } | null {
  const [before, held] = [listedIn(run?.splits.train).length, listedIn(run?.splits.val).length];
  if (run === undefined || before === 0 || held === 0) return null;
  const earlier = earlierSplits(run, { byContent: true });
  const hashes = imageHashes(train);
  const decided = (place: number) => {
    const split = earlier({ relative: "", hash: hashes[place] as string });
    return split === undefined || split === "test" ? undefined : split === "val";
  };
  const drawn = drawValidation({ ...train, paths: hashes, hashes }, seed, {
    fraction: held / (before + held),
    decided,
  });
  const unnamed = ({ paths: _, hashes: __, ...split }: Split): Split => split;
  return { train: unnamed(drawn.train), val: unnamed(drawn.val) };
}

/**
 * Holds out validation images if the data set has no validation split: `valImages` of them or, by default, a tenth and at most 5000.
 * Images with paths are drawn one by one by their paths, so that the number is only approximate.
 */
export function heldOutValidation(
  train: Split,
  { valImages, seed }: Pick<TrainConfig, "valImages" | "seed">,
): { train: Split; val: Split } {
  const count = train.labels.numel;
  if (train.paths !== undefined) return drawValidation(train, seed, { fraction: validationFraction(train, valImages) });
  const images = valImages ?? Math.min(MOST_VALIDATION, Math.max(1, Math.round(count / 10)));
  return splitValidation(train, { images, seed });
}

const MOST_VALIDATION = 5000;

/** The share of the images with paths that is held out for validation. */
function validationFraction({ labels: { numel } }: Split, valImages: number | undefined): number {
  if (valImages === undefined && numel <= 10 * MOST_VALIDATION) return 0.1;
  return steadyFraction(valImages ?? MOST_VALIDATION, numel);
}
