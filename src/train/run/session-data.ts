import { join } from "node:path";
import type { TrainConfig } from "../../config/index.ts";
import { counted, wordFor } from "../../counted.ts";
import { type DataRecord, joinedRecord, renamingRemedy, renamings, renamingText } from "../../data/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { loadSafetensors } from "../../io/index.ts";
import { mapSizes } from "../../models/index.ts";
import { BatchNorm2d, type Module } from "../../nn/index.ts";
import { keep, type Tensor } from "../../tensor/index.ts";
import { type ConfiguredData, loadData } from "../data/configured-data.ts";
import type { GivenSplits } from "../data/given-splits.ts";
import { comparePrototypes, loadKnownData } from "../data/known-data.ts";
import { findData, placeOf, type RunData, type RunPlan, readRunData } from "../data/run-data.ts";
import type { OpenRun } from "./run-directory.ts";

/** The data of a new or a resumed run. */
export interface SessionData extends ConfiguredData {
  /** The run's config, with the current path of the data. */
  config: TrainConfig;
  /** The record of its data that the run made when it began; null for a new run, and for one of a version that kept none. */
  before: RunData | null;
  /** The differences from that record that were accepted. */
  differences: readonly string[];
}

export interface SessionDataOptions {
  given?: GivenSplits | undefined;
  signal?: AbortSignal | undefined;
}

/** @throws E_DATA if the run is resumed and its data have differences that were not accepted */
export async function openData(run: OpenRun, options: SessionDataOptions): Promise<SessionData> {
  const { directory, config, start, dataDir } = run;
  const before = start === "continue" || start === "restart" ? await readRunData(directory) : null;
  if (start !== "continue") {
    // A run without a checkpoint starts again with the data that its config names.
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

/** Throws if the new data have no training image of a class that the run was trained on. */
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
    `resume: no image is left to train on for ${missing.map((name) => `"${name}"`).join(", ")} of the run's classes${reasons}; ${remedy}, or start a new run`,
  );
}

/** The number of steps of an epoch, and of its learning-rate schedule. */
export interface EpochSteps {
  stepsPerEpoch: number;
  plan: RunPlan;
  warnings: string[];
}

/**
 * The steps of an epoch if the images make `steps` of them. A run whose data have changed keeps its plan. With more images,
 * each epoch takes as many steps as before and draws a different subset. With fewer, an epoch is shorter, and the last learning
 * rates of the schedule are never reached.
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
      ? `an epoch still has ${counted(plan.stepsPerEpoch, "step")}, although there are images for ${steps}, and uses different images each time`
      : `an epoch has ${counted(steps, "step")} instead of the planned ${plan.stepsPerEpoch}, so that the run ends before its learning-rate schedule`;
  return { stepsPerEpoch, plan, warnings: [`${kept}; ${epochs}`] };
}

/**
 * The prototypes of the run. They are those of its first images, even if it is resumed with others. If a run kept no other record of its
 * data, the data are compared by the prototypes.
 *
 * @param computed the prototypes of the current images; freed if others are used
 */
export async function runPrototypes(
  { directory, start, config }: OpenRun,
  { before, differences, train }: SessionData,
  computed: Tensor,
): Promise<{ references: Tensor; warnings: string[] }> {
  const same = before !== null && differences.length === 0 && !before.plan.otherData;
  if (start !== "continue" || same) return { references: computed, warnings: [] };
  const compared = { operation: "resume", runDirectory: directory, accept: config.acceptNewData };
  const warnings = before === null ? await comparePrototypes(computed, train.classNames, compared) : [];
  const saved = await loadSafetensors(join(directory, "prototypes.safetensors"));
  const own = saved.get("prototypes");
  if (own === undefined)
    throw new BatchCamError("E_CHECKPOINT", `resume: ${directory}/prototypes.safetensors contains no prototypes`);
  computed.dispose();
  return { references: keep(own), warnings };
}

/** The record that a new run makes of its data. */
export function newRunData(
  { record, config }: SessionData,
  plan: RunPlan,
  { directory, given, warnings }: Pick<ResumePoint, "directory" | "given" | "warnings">,
): RunData {
  return {
    record,
    place: given === undefined ? placeOf(config.dataDir, directory) : null,
    plan,
    changes: [],
    warnings,
  };
}

/** The warnings about the data that a run has not given before. One sentence replaces those that it has given. */
export function newWarnings(warnings: readonly string[], given: readonly string[] = []): string[] {
  const fresh = warnings.filter((warning) => !given.includes(warning));
  const repeated = warnings.length - fresh.length;
  if (repeated === 0) return fresh;
  return [
    ...fresh,
    `${counted(repeated, "warning")} about the data ${wordFor(repeated, "is", "are")} the same as before: see warnings in data.json`,
  ];
}

/** The state from which a run is resumed, and its data. */
export interface ResumePoint {
  directory: string;
  given: GivenSplits | undefined;
  plan: RunPlan;
  /** The warnings about the data. */
  warnings: readonly string[];
  /** The epoch in progress, and the steps taken. */
  epoch: number;
  step: number;
}

/** The record of its data that a resumed run writes; null if it is already written, and for a run that keeps none. */
export function resumedRunData(
  { record, config, before, differences }: SessionData,
  { directory, given, plan, warnings, epoch, step }: ResumePoint,
): RunData | null {
  if (before === null) return null;
  const place = given === undefined ? placeOf(config.dataDir, directory) : null;
  const moved = place !== null && place.absolute !== before.place?.absolute;
  const fresh = warnings.filter((warning) => !before.warnings.includes(warning));
  if (differences.length === 0 && !moved && fresh.length === 0) return null;
  const other = differences.length > 0 || before.record.leftOut !== undefined;
  const kept = other ? joinedRecord(before.record, record) : record;
  const change = differences.length === 0 ? [] : [{ epoch, step, differences }];
  return {
    record: kept,
    place: moved ? place : before.place,
    plan,
    changes: [...before.changes, ...change],
    warnings: [...before.warnings, ...fresh],
  };
}

/** The properties of a run that limit the size of its batches. */
interface TrainedOn {
  /** Modules that stay in evaluation mode, whose batch norms take no statistics from a batch. */
  frozen: readonly Module[];
  /** [channels, height, width] */
  image: readonly [number, number, number];
  /** Training images. */
  images: number;
}

/**
 * The fewest images that one pass of training can take: 2 if a batch norm sees maps of 1x1, because a single image
 * would give it one value per channel, which has no variance; else 1.
 *
 * @throws E_CONFIG if batches, or the whole training split, hold fewer
 */
export function smallestBatch(config: TrainConfig, model: Module, { frozen, image, images }: TrainedOn): 1 | 2 {
  const still = new Set(frozen.flatMap((module) => [...module.namedModules().values()]));
  const norms = [...model.namedModules()].filter(([, module]) => module instanceof BatchNorm2d && !still.has(module));
  const paths = norms.map(([path]) => path);
  const sizes = paths.length === 0 ? [] : mapSizes(model, image, paths);
  const layer = paths[sizes.findIndex(([height, width]) => height * width === 1)];
  if (layer === undefined) return 1;
  const needs = `the batch norm ${layer} gets maps of 1x1 at this image size and needs at least two images for a variance`;
  const otherwise =
    "choose a stem that reduces the image less (stem, patchSize, stemStride), or freeze that layer (freeze)";
  if (config.batchSize === 1)
    throw new BatchCamError("E_CONFIG", `batchSize: ${needs}, got batches of 1: use batchSize 2 or more, ${otherwise}`);
  if (images === 1)
    throw new BatchCamError(
      "E_CONFIG",
      `train: ${needs}, got 1 training image: train on more (limitTrain), ${otherwise}`,
    );
  return 2;
}
