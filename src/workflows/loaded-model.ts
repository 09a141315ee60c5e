import { join } from "node:path";
import type { TrainConfig } from "../config/index.ts";
import { givenPartsOf } from "../config/internal.ts";
import { prototypes as classPrototypes, type Normalization, type Split } from "../data/index.ts";
import { BatchCamError } from "../errors.ts";
import { loadSafetensors } from "../io/index.ts";
import type { Module } from "../nn/index.ts";
import type { Tensor } from "../tensor/index.ts";
import type { GivenSplits } from "../train/index.ts";
import {
  camLayerOf,
  comparePrototypes,
  describeModel,
  disposeAll,
  expectModelOfRun,
  expectNetwork,
  exportedOfRun,
  fitExported,
  type ImagesAndClasses,
  type KnownData,
  loadCheckpointed,
  loadKnownData,
  type ModelWithData,
  modelFor,
  prototypeOptions,
  readGiven,
  recordedPrecision,
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
  /** The layer whose maps were guided in training, or the default layer of the architecture; null if no layer gives maps. */
  readonly camLayer: string | null;
  dispose(): void;
}

/** A run's model with the run's own data, settings and prototypes. */
export interface LoadedRun extends LoadedModel, ModelWithData {
  readonly camLayer: string;
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
    const subject = await loadModelOf({ run, checkpoint, config, data: data.test, given: model });
    dispose.push(() => subject.dispose());
    return {
      ...{ ...subject, config, data, dispose: disposeEach },
      prototypes: saved.get("prototypes") as Tensor,
      ...(await recordedPrecision(run, config)),
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
    run: files.run,
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

/** The exported model of a run, with as many classes as its data have; null for a run of another model. */
async function exportedFor(run: string, config: TrainConfig, data: ImagesAndClasses): Promise<Module | null> {
  const exported = await exportedOfRun(run, config);
  if (exported !== null) fitExported(exported, data, config);
  return exported;
}

type AboutImages = ImagesAndClasses & { classNames: readonly string[]; normalization: Normalization };

async function loadModelOf(about: {
  run: string;
  checkpoint: string;
  config: TrainConfig;
  data: AboutImages;
  given: Module | undefined;
}): Promise<LoadedModel & { camLayer: string }> {
  const { run, checkpoint, config, data, given } = about;
  const weights = await loadSafetensors(checkpoint);
  try {
    const model = given ?? (await exportedFor(run, config, data)) ?? modelFor(config, data);
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
