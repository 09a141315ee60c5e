import { join } from "node:path";
import type { TrainConfig } from "../../config/index.ts";
import { counted } from "../../counted.ts";
import { type DataRecord, joinedRecord } from "../../data/record/data-record.ts";
import { renamingRemedy, renamings, renamingText } from "../../data/record/renamed.ts";
import { BatchCamError } from "../../errors.ts";
import { loadSafetensors } from "../../io/index.ts";
import { type Model, mapSizes } from "../../models/index.ts";
import { BatchNorm2d, type Module } from "../../nn/index.ts";
import { keep, type Tensor } from "../../tensor/index.ts";
import { type ConfiguredData, type GivenSplits, loadData } from "../data/configured-data.ts";
import { comparePrototypes, loadKnownData } from "../data/known-data.ts";
import { findData, placeOf, type RunData, type RunPlan, readRunData } from "../data/run-data.ts";
import type { OpenRun } from "./run-directory.ts";

/** The data of a run that begins or goes on. */
export interface SessionData extends ConfiguredData {
  /** The run's config, with the place of the data as it is now. */
  config: TrainConfig;
  /** What the run kept of its data when it was begun; null for a new run, and for one of a version that kept nothing. */
  before: RunData | null;
  /** Accepted differences from that. */
  differences: readonly string[];
}

export interface SessionDataOptions {
  given?: GivenSplits | undefined;
  signal?: AbortSignal | undefined;
}

/** @throws E_DATA where the run goes on, and its data are others that were not accepted */
export async function openData(run: OpenRun, options: SessionDataOptions): Promise<SessionData> {
  const { directory, config, resuming, dataDir } = run;
  const before = config.resume === false ? null : await readRunData(directory);
  if (!resuming) {
    // A run without a checkpoint begins anew, with the data that it was to have.
    const place = before?.place ?? null;
    const found = place === null || dataDir !== undefined ? {} : { dataDir: findData(place, directory, "resume") };
    const own = { ...config, ...found };
    return { ...(await loadData(own, options)), config: own, before: null, differences: [] };
  }
  const known = await loadKnownData(config, {
    ...{ operation: "resume", runDirectory: directory, runData: before, accept: config.acceptNewData, trains: true },
    ...{ dataDir, ...options },
  });
  expectRunClasses(known.record, before?.record ?? null);
  return { ...known, before };
}

/** Fails where new data have no image to train on for a class that the run was trained on. */
function expectRunClasses(now: DataRecord, before: DataRecord | null): void {
  const { classNames, splits } = now;
  const had = (label: number) => (before?.splits.train?.classCounts[label] ?? 0) > 0;
  const missing = classNames.filter((_, label) => had(label) && splits.train?.classCounts[label] === 0);
  if (missing.length === 0) return;
  const renamed = before === null ? [] : renamings(before, now).filter(({ from }) => missing.includes(from));
  const reasons = renamed.length === 0 ? "" : ` (${renamed.map(renamingText).join("; ")})`;
  const remedy = renamed.length === 0 ? "add images" : renamingRemedy(renamed).remedy;
  throw new BatchCamError(
    "E_DATA",
    `resume: no image is left to train on for ${missing.map((name) => `"${name}"`).join(", ")} of the run's classes${reasons}; ${remedy}, or begin a new run`,
  );
}

/** Steps of an epoch and of its learning-rate schedule. */
export interface EpochSteps {
  stepsPerEpoch: number;
  plan: RunPlan;
  warnings: string[];
}

/**
 * The steps of an epoch where the images make `steps` of them. A run whose data have changed keeps its plan: with more images each epoch
 * takes as many steps as before, and draws other images; with fewer an epoch is shorter, and the learning rates of its plan's end are
 * never reached.
 */
export function epochSteps(steps: number, { before, differences }: SessionData): EpochSteps {
  const first = before?.plan ?? { stepsPerEpoch: steps, otherData: false };
  const plan = { ...first, otherData: first.otherData || differences.length > 0 };
  const stepsPerEpoch = Math.min(steps, plan.stepsPerEpoch);
  if (differences.length === 0) return { stepsPerEpoch, plan, warnings: [] };
  const kept = "the run keeps its prototypes and its learning-rate schedule";
  if (steps === plan.stepsPerEpoch) return { stepsPerEpoch, plan, warnings: [kept] };
  const epochs =
    steps > plan.stepsPerEpoch
      ? `an epoch stays ${counted(plan.stepsPerEpoch, "step")} of the ${steps} that the images make, and draws other images each time`
      : `an epoch is ${counted(steps, "step")}, in the run's plan ${plan.stepsPerEpoch}, so that the run ends before that schedule`;
  return { stepsPerEpoch, plan, warnings: [`${kept}; ${epochs}`] };
}

/**
 * The prototypes that the run keeps, which are those of its first images also where it goes on with others. A run that kept no other
 * record of its data is compared by them.
 *
 * @param computed those of the images that are there; it is freed where others hold
 */
export async function runPrototypes(
  { directory, resuming, config }: OpenRun,
  { before, differences, train }: SessionData,
  computed: Tensor,
): Promise<{ references: Tensor; warnings: string[] }> {
  const same = before !== null && differences.length === 0 && !before.plan.otherData;
  if (!resuming || same) return { references: computed, warnings: [] };
  const compared = { operation: "resume", runDirectory: directory, accept: config.acceptNewData };
  const warnings = before === null ? await comparePrototypes(computed, train.classNames, compared) : [];
  const saved = await loadSafetensors(join(directory, "prototypes.safetensors"));
  const own = saved.get("prototypes");
  if (own === undefined)
    throw new BatchCamError("E_CHECKPOINT", `resume: ${directory}/prototypes.safetensors holds no prototypes`);
  computed.dispose();
  return { references: keep(own), warnings };
}

/** What a new run keeps of its data. */
export function newRunData(
  { record, config }: SessionData,
  plan: RunPlan,
  { directory, given }: { directory: string; given: GivenSplits | undefined },
): RunData {
  return { record, place: given === undefined ? placeOf(config.dataDir, directory) : null, plan, changes: [] };
}

/** Where a run goes on, and with what. */
export interface GoingOn {
  directory: string;
  given: GivenSplits | undefined;
  plan: RunPlan;
  /** The epoch in progress, and the steps taken. */
  epoch: number;
  step: number;
}

/** What a run that goes on keeps of its data from now on; null where that is written already, and for a run that keeps nothing. */
export function resumedRunData(
  { record, config, before, differences }: SessionData,
  { directory, given, plan, epoch, step }: GoingOn,
): RunData | null {
  if (before === null) return null;
  const place = given === undefined ? placeOf(config.dataDir, directory) : null;
  const moved = place !== null && place.absolute !== before.place?.absolute;
  if (differences.length === 0 && !moved) return null;
  const other = differences.length > 0 || before.record.leftOut !== undefined;
  const kept = other ? joinedRecord(before.record, record) : record;
  const change = differences.length === 0 ? [] : [{ epoch, step, differences }];
  return { record: kept, place: moved ? place : before.place, plan, changes: [...before.changes, ...change] };
}

/** What a run trains on, as far as the size of its batches is concerned. */
interface TrainedOn {
  /** Modules that stay in evaluation mode, whose batch norms take no statistics from a batch. */
  frozen: readonly Module[];
  /** [channels, height, width] */
  image: readonly [number, number, number];
  /** Training images. */
  images: number;
}

/**
 * The fewest images that one pass of training can take: 2 where a batch norm sees maps of 1x1, because a single image
 * would give it one value per channel, which has no variance; else 1.
 *
 * @throws E_CONFIG where batches, or the whole training split, hold fewer
 */
export function smallestBatch(config: TrainConfig, model: Model, { frozen, image, images }: TrainedOn): 1 | 2 {
  const still = new Set(frozen.flatMap((module) => [...module.namedModules().values()]));
  const norms = [...model.namedModules()].filter(([, module]) => module instanceof BatchNorm2d && !still.has(module));
  const paths = norms.map(([path]) => path);
  const sizes = paths.length === 0 ? [] : mapSizes(model, image, paths);
  const layer = paths[sizes.findIndex(([height, width]) => height * width === 1)];
  if (layer === undefined) return 1;
  const needs = `the batch norm ${layer} sees maps of 1x1 at this image size and needs at least two images for a variance`;
  const otherwise = "choose a stem that shrinks less (stem, patchSize, stemStride), or freeze that layer (freeze)";
  if (config.batchSize === 1)
    throw new BatchCamError("E_CONFIG", `batchSize: ${needs}, got batches of 1: use batchSize 2 or more, ${otherwise}`);
  if (images === 1)
    throw new BatchCamError(
      "E_CONFIG",
      `train: ${needs}, got 1 training image: train on more (limitTrain), ${otherwise}`,
    );
  return 2;
}
