import { join } from "node:path";
import { expectInteger, expectPath, optionsOf } from "../arguments.ts";
import type { TrainConfig } from "../config/index.ts";
import { givenPartsOf, type NormalizationChoice, normalizationFault } from "../config/internal.ts";
import { counted } from "../counted.ts";
import { prototypes as classPrototypes, type Normalization, type Split } from "../data/index.ts";
import { NO_NORMALIZATION, normalizationForChannels } from "../data/internal.ts";
import { BatchCamError } from "../errors.ts";
import { loadSafetensors } from "../io/index.ts";
import {
  createModel,
  describeWeights,
  loadPretrained,
  loadWeights,
  type Model,
  type ModelOptions,
} from "../models/index.ts";
import type { Module } from "../nn/index.ts";
import type { Tensor } from "../tensor/index.ts";
import type { GivenSplits } from "../train/index.ts";
import {
  broughtNormalization,
  camLayerOf,
  chosenNormalization,
  comparePrototypes,
  describeModel,
  disposeAll,
  expectModelOfRun,
  expectNetwork,
  type ImagesAndClasses,
  type KnownData,
  loadCheckpointed,
  loadKnownData,
  type ModelWithData,
  modelFor,
  normalizationNote,
  precisionOf,
  prototypeOptions,
  readGiven,
} from "../train/internal.ts";
import { type RunFiles, runFiles } from "./run-files.ts";

/** A trained model, and how its images are prepared. */
export interface LoadedModel {
  /** Where the weights were read from. */
  readonly checkpoint: string;
  readonly model: Module;
  readonly modelName: string;
  readonly channels: 1 | 3;
  /** [height, width] of the images that it takes. */
  readonly imageSize: readonly [number, number];
  readonly normalization: Normalization;
  /** The names of the classes, or their numbers if no names are known. */
  readonly classNames: readonly string[];
  /** Descriptions of the choices and changes that were made when the weights were read. */
  readonly notes: readonly string[];
  /** The layer whose maps were guided in training, or the default layer of the architecture. */
  readonly camLayer: string;
  dispose(): void;
}

/** A run's model with the run's own data, settings and prototypes. */
export interface LoadedRun extends LoadedModel, ModelWithData {
  /** `test` is the test split or, if the run was opened so, the validation split of a run without test images. */
  readonly data: KnownData & { readonly test: Split };
}

/** Options for finding and comparing a run's data. */
export interface RunDataOptions {
  /** The present path of the run's data (default: the path at which they were when it was trained). */
  dataDir?: string | undefined;
  /** Whether images that differ from the run's are accepted, under its classes and normalisation (default: false). */
  acceptNewData?: boolean | undefined;
  /** The splits, for a run whose images a program had passed. */
  data?: GivenSplits | undefined;
  /** The network of a run that a program gave it: the run's weights are loaded into it, and it is not disposed of. */
  model?: Module | undefined;
  /** Called with warnings about accepted differences, and about data that cannot be compared. */
  onWarning?: ((message: string) => void) | undefined;
}

/**
 * Opens a run's best epoch, or one of its checkpoints, with its data set. The caller disposes of the result.
 *
 * @param runOrCheckpoint a run directory, or a file in its `checkpoints/`
 * @param operation the operation at the start of errors
 * @throws E_CHECKPOINT if there is no checkpoint, or it does not fit its run's model; E_DATA if the data are not those of the
 *   run
 */
export async function openRun(
  runOrCheckpoint: string,
  operation: string,
  options: RunDataOptions & { withoutTest?: WithoutTest } = {},
): Promise<LoadedRun> {
  const files = await runFiles(runOrCheckpoint, operation);
  const { run, checkpoint, runData } = files;
  const { acceptNewData: accept = false, dataDir, data: given, onWarning = () => {} } = options;
  const saved = await loadSafetensors(join(run, "prototypes.safetensors"));
  const dispose: (() => void)[] = [() => disposeAll(saved)];
  const disposeEach = () => {
    for (const one of dispose.splice(0)) one();
  };
  try {
    const known = { operation, runDirectory: run, accept };
    const found = await loadKnownData(files.config, { ...known, runData, dataDir, given });
    dispose.push(() => found.dispose());
    const data = { ...found, test: testOf(found, known, options.withoutTest) };
    const { config } = data;
    if (data.differences.length > 0) for (const message of data.warnings) onWarning(message);
    if (runData === null) for (const message of await oldRunWarnings(data, known)) onWarning(message);
    const model = await givenModelOf(files, operation, options.model);
    const subject = await loadModelOf({ checkpoint, config, data: data.test, given: model });
    dispose.push(() => subject.dispose());
    return {
      ...{ ...subject, config, data, dispose: disposeEach },
      prototypes: saved.get("prototypes") as Tensor,
      ...precisionOf(config),
    };
  } catch (error) {
    disposeEach();
    throw error;
  }
}

/** What to do about a run that a program gave no test images: refuse it, or take its validation images. */
export type WithoutTest = "refuse" | "validation";

/** The images that a run is judged on. */
function testOf(
  { test, val }: KnownData,
  { operation, runDirectory }: { operation: string; runDirectory: string },
  withoutTest: WithoutTest = "refuse",
): Split {
  if (test !== null) return test;
  if (withoutTest === "validation") return val;
  throw new BatchCamError(
    "E_DATA",
    `${operation}: the program that trained the run ${runDirectory} gave it no test images: give them now, { data: { train, validation, test }, acceptNewData: true }`,
  );
}

/** Compares the data of a run without a record of its data, as far as possible. */
async function oldRunWarnings(
  { train, config }: KnownData,
  known: { operation: string; runDirectory: string; accept: boolean },
): Promise<string[]> {
  const prototypes = await classPrototypes(
    train,
    prototypeOptions(config, () => {}),
  );
  try {
    return await comparePrototypes(prototypes, train.classNames, known);
  } finally {
    prototypes.dispose();
  }
}

/**
 * Opens only the model of a run. Classes, normalisation and image size are those that the run recorded, so that its data need not exist
 * any more. A run of an earlier version, which recorded nothing, is opened with its data.
 */
export async function openRunModel(
  runOrCheckpoint: string,
  operation: string,
  options: RunDataOptions = {},
): Promise<LoadedModel> {
  const files = await runFiles(runOrCheckpoint, operation);
  const { checkpoint, config, runData } = files;
  const given = await givenModelOf(files, operation, options.model);
  if (runData === null) return openRun(runOrCheckpoint, operation, options);
  const { classNames, channels, imageSize, normalization } = runData.record;
  const images = { sizes: [1, channels, ...imageSize] };
  return loadModelOf({
    checkpoint,
    config,
    data: { numClasses: classNames.length, classNames, images, normalization },
    given,
  });
}

/**
 * The network that a program gives for a run; undefined for a run whose config names one.
 * @throws E_CONFIG if the run needs one and none is given, or the reverse; E_CHECKPOINT if it has another architecture
 */
async function givenModelOf(
  { run, config }: RunFiles,
  operation: string,
  model: Module | undefined,
): Promise<Module | undefined> {
  if (model !== undefined) expectNetwork(operation, model);
  const about = { operation, runDirectory: run, parts: givenPartsOf(config), record: await readGiven(run) };
  expectModelOfRun(about, model === undefined ? null : describeModel(model));
  return model;
}

type AboutImages = ImagesAndClasses & { classNames: readonly string[]; normalization: Normalization };

async function loadModelOf(about: {
  checkpoint: string;
  config: TrainConfig;
  data: AboutImages;
  given: Module | undefined;
}): Promise<LoadedModel> {
  const { checkpoint, config, data, given } = about;
  const weights = await loadSafetensors(checkpoint);
  try {
    const model = given ?? modelFor(config, data);
    const dispose = () => (given === undefined ? model.dispose() : undefined);
    try {
      loadCheckpointed(model, weights, checkpoint);
      const [, channels, ...imageSize] = data.images.sizes as readonly [number, 1 | 3, number, number];
      const { normalization, classNames } = data;
      return {
        ...{ checkpoint, model, modelName: config.model, channels, imageSize, normalization, classNames },
        ...{ notes: [], camLayer: camLayerOf(config, model, data) },
        dispose,
      };
    } catch (error) {
      dispose();
      throw error;
    }
  } finally {
    disposeAll(weights);
  }
}

export interface WeightsOptions {
  /** The entry of a checkpoint that contains the weights; see `loadWeights`. */
  key?: string | undefined;
  /** The architecture (default: the one that is recognised from the weights). */
  model?: string | undefined;
  imageSize?: number | undefined;
  /**
   * Normalisation of pixels in [0, 1]. The default is that of the run or the folder that the weights come from, or else
   * ImageNet's for three channels.
   */
  normalization?: "imagenet" | "none" | undefined;
  /** Mean and standard deviation of pixels in [0, 1], one number for each channel, instead of a named normalisation. */
  mean?: string | readonly number[] | undefined;
  std?: string | readonly number[] | undefined;
  classNames?: readonly string[] | undefined;
}

/**
 * Opens weights that do not come from a run: everything that `loadWeights` reads, if it has a head. The caller disposes
 * of the result.
 *
 * @throws E_CHECKPOINT for weights of an unknown architecture, or of another one than was named
 */
export async function openWeights(path: string, options: WeightsOptions = {}): Promise<LoadedModel> {
  expectPath("openWeights: path", path);
  const known = ["key", "model", "imageSize", "normalization", "mean", "std", "classNames"] as const;
  const { key, model: name, imageSize, classNames, ...scale } = optionsOf("openWeights", options, known);
  const { weights, notes } = await loadWeights(path, { key });
  try {
    const found = describedWeights(path, weights);
    expectNamed(path, name, found.name);
    const model = modelOf(found, weights);
    try {
      const { inChannels = 3, numClasses = 0 } = found.options;
      if (inChannels !== 1 && inChannels !== 3)
        throw new BatchCamError(
          "E_CHECKPOINT",
          `openWeights: ${path}: pictures have 1 or 3 channels, the weights are for ${inChannels}`,
        );
      const side = imageSize ?? usualSide(found.options);
      expectInteger("openWeights: imageSize", side, 1);
      expectNames(classNames, numClasses);
      const { normalization, source } = await normalizationOf(path, { weights, channels: inChannels, scale });
      const scaled = source === null ? [] : [normalizationNote(normalization, source)];
      return {
        ...{ checkpoint: path, model, modelName: found.name, channels: inChannels, imageSize: [side, side] },
        normalization,
        classNames: classNames ?? Array.from({ length: numClasses }, (_, label) => String(label)),
        notes: [...notes.map((note) => `weights: ${note}`), ...scaled],
        camLayer: model.camLayer,
        dispose: () => model.dispose(),
      };
    } catch (error) {
      model.dispose();
      throw error;
    }
  } finally {
    disposeAll(weights);
  }
}

const NORMALIZING = ["normalization", "mean", "std"];

/** The normalisation that the caller chose, or that of the weights, or none. */
async function normalizationOf(
  path: string,
  { weights, channels, scale }: { weights: ReadonlyMap<string, Tensor>; channels: number; scale: NormalizationChoice },
): Promise<{ normalization: Normalization; source: string | null }> {
  const fault = normalizationFault(scale);
  if (fault !== null)
    throw new BatchCamError("E_CONFIG", `openWeights: ${fault[0]} must be ${fault[1]}`, { options: NORMALIZING });
  const brought = await broughtNormalization(path, weights, scale);
  const chosen = chosenNormalization(scale) ?? chosenNormalization(brought?.choice ?? {}) ?? NO_NORMALIZATION;
  const fitted = normalizationForChannels(chosen, channels);
  if (fitted !== null) return { normalization: fitted, source: brought?.source ?? null };
  const got = `${counted(chosen.mean.length, "number")} for weights of ${counted(channels, "channel")}`;
  throw new BatchCamError("E_CONFIG", `openWeights: mean must have a number for each channel, got ${got}`);
}

/** `describeWeights`, with errors that also name the file. */
function describedWeights(path: string, weights: ReadonlyMap<string, Tensor>): ReturnType<typeof describeWeights> {
  try {
    return describeWeights(weights);
  } catch (error) {
    if (!(error instanceof BatchCamError)) throw error;
    throw new BatchCamError(error.code, `openWeights: ${path}: ${error.detail}`, {
      cause: error,
      options: error.options,
    });
  }
}

function expectNamed(path: string, named: string | undefined, found: string): void {
  if (named === undefined || named === found) return;
  const problem = `openWeights: ${path}: the weights are those of ${found}, not of ${named}`;
  throw new BatchCamError("E_CHECKPOINT", `${problem}: leave the model out, or give { model: "${found}" }`);
}

/** Makes a model with these weights, which must fit it exactly. */
function modelOf(
  { name, options }: { name: string; options: ModelOptions },
  weights: ReadonlyMap<string, Tensor>,
): Model {
  const model = createModel(name, options);
  try {
    loadPretrained(model, weights);
    return model;
  } catch (error) {
    model.dispose();
    if (!(error instanceof BatchCamError) || error.code !== "E_SHAPE") throw error;
    throw new BatchCamError("E_CHECKPOINT", error.message, { cause: error });
  }
}

function usualSide({ imageSize, stem, stemStride, patchSize }: ModelOptions): number {
  const small = stem === "small" || stemStride === 2 || patchSize === 1;
  return imageSize ?? (small ? 28 : 224);
}

function expectNames(classNames: readonly string[] | undefined, numClasses: number): void {
  if (classNames === undefined || classNames.length === numClasses) return;
  throw new BatchCamError(
    "E_CONFIG",
    `openWeights: classNames must hold a name for each of the model's ${counted(numClasses, "class")}, got ${classNames.length}`,
  );
}
