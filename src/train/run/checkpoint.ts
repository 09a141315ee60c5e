import { existsSync } from "node:fs";
import { copyFile, link, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { describeValue } from "../../arguments.ts";
import { fileFault } from "../../atomic-file.ts";
import { BatchCamError } from "../../errors.ts";
import { loadSafetensors, readSafetensorsMetadata, saveSafetensors } from "../../io/index.ts";
import type { Module } from "../../nn/index.ts";
import { withoutStrictAdvice } from "../../nn/internal.ts";
import type { Tensor } from "../../tensor/index.ts";
import type { EpochRecord, Rejudged } from "./events.ts";

/** The sums over the steps of an epoch so far, from which its means continue. */
export interface EpochMeansState {
  images: number;
  sums: Record<string, number | null>;
  /** The images of the steps that did not have a number; absent in checkpoints of earlier versions. */
  missing?: Record<string, number>;
}

/** The progress of a run without its tensors. All numbers can be restored exactly from JSON. */
export interface Progress {
  /** The number of steps taken. */
  step: number;
  /** The epoch in progress, from 1. */
  epoch: number;
  /** The number of batches of that epoch that were taken. */
  batch: number;
  means: EpochMeansState;
  history: EpochRecord[];
  bestEpoch: number;
  /**
   * Digest of the validation images of `history` or, if the best epoch was validated again, of that validation; absent in
   * checkpoints of earlier versions.
   */
  validation?: string;
  rejudged?: Rejudged;
  /** The training time so far, and that of the epoch in progress. */
  seconds: number;
  epochSeconds: number;
}

/** Everything that a run needs to continue bit for bit. */
export interface Snapshot {
  /** The model's state dict. */
  model: ReadonlyMap<string, Tensor>;
  /** Optimizer, generator and running prototypes, by prefix. */
  state: ReadonlyMap<string, Tensor>;
  progress: Progress;
}

const FORMAT = "batch-cam 1";
/** The only names that are allowed for a state file, because another name could lead out of the run's folder. */
const STATE_NAME = /^last-\d+\.state\.safetensors$/;
const folderOf = (runDirectory: string) => join(runDirectory, "checkpoints");

export function lastCheckpoint(runDirectory: string): string {
  return join(folderOf(runDirectory), "last.safetensors");
}

export function bestCheckpoint(runDirectory: string): string {
  return join(folderOf(runDirectory), "best.safetensors");
}

/**
 * Writes `checkpoints/last.safetensors` (weights alone, with torch's names) and a separate state file to resume from. The name of the
 * state file contains its step, and it is written first. The weights contain the name of their state file, so that renaming the weights
 * to their final name commits both files. If the process is killed between the two, the previous weights and their state file remain
 * valid.
 */
export async function saveCheckpoint(runDirectory: string, snapshot: Snapshot): Promise<string> {
  return asFileFault(runDirectory, () => writeCheckpoint(runDirectory, snapshot));
}

/** Converts an error of the file system in fn to E_IO. */
async function asFileFault<T>(runDirectory: string, fn: () => Promise<T>): Promise<T> {
  try {
    return await fn();
  } catch (error) {
    throw fileFault(`cannot write checkpoints to ${folderOf(runDirectory)}`, error);
  }
}

async function writeCheckpoint(runDirectory: string, { model, state, progress }: Snapshot): Promise<string> {
  const path = lastCheckpoint(runDirectory);
  const stateName = `last-${progress.step}.state.safetensors`;
  const statePath = join(folderOf(runDirectory), stateName);
  const { state: committed } = await readSafetensorsMetadata(path).catch(() => ({ state: undefined }));
  try {
    await saveSafetensors(statePath, state, { progress: JSON.stringify(progress, keepNumbers) });
    await saveSafetensors(path, model, {
      format: "pt",
      "batch-cam": FORMAT,
      step: String(progress.step),
      state: stateName,
    });
  } catch (error) {
    // On a full disk, a state file that no weights refer to would take the space that the next attempt needs.
    if (stateName !== committed) await rm(statePath, { force: true });
    throw error;
  }
  for (const name of await readdir(folderOf(runDirectory))) {
    if (STATE_NAME.test(name) && name !== stateName) await rm(join(folderOf(runDirectory), name), { force: true });
  }
  return path;
}

/** Writes the weights that the validation split chose. */
export async function saveBest(
  runDirectory: string,
  model: ReadonlyMap<string, Tensor>,
  epoch: number,
): Promise<string> {
  return asFileFault(runDirectory, async () => {
    await keepPreviousBest(runDirectory);
    return saveWeights(bestCheckpoint(runDirectory), model, epoch);
  });
}

/** Gives the best weights so far, if there are any, a second name, under which they are kept until a checkpoint refers to better ones. */
async function keepPreviousBest(runDirectory: string): Promise<void> {
  const best = bestCheckpoint(runDirectory);
  const previousBest = previousBestOf(runDirectory);
  if (!existsSync(best)) return;
  await rm(previousBest, { force: true });
  await link(best, previousBest).catch(() => copyFile(best, previousBest)); // the file system does not support hard links
}

/**
 * Before a run resumes, restores the best weights of `bestEpoch` (0 for none), whichever epochs were validated after the
 * checkpoint.
 */
export async function restoreBest(runDirectory: string, bestEpoch: number): Promise<void> {
  const best = bestCheckpoint(runDirectory);
  const previousBest = previousBestOf(runDirectory);
  await asFileFault(runDirectory, async () => {
    if (bestEpoch === 0) await rm(best, { force: true });
    else if ((await epochOf(best)) !== bestEpoch && (await epochOf(previousBest)) === bestEpoch)
      await rename(previousBest, best);
    await dropPreviousBest(runDirectory);
  });
}

/** Deletes the previous best weights. Call it once a checkpoint refers to the best ones. */
export async function dropPreviousBest(runDirectory: string): Promise<void> {
  await rm(previousBestOf(runDirectory), { force: true });
}

/** The epoch whose weights a file holds; null if it cannot be read. */
export async function epochOf(path: string): Promise<number | null> {
  const { epoch } = await readSafetensorsMetadata(path).catch(() => ({ epoch: undefined }));
  return epoch === undefined ? null : Number(epoch);
}

const previousBestOf = (runDirectory: string) => join(folderOf(runDirectory), "best-before.safetensors");

async function saveWeights(path: string, model: ReadonlyMap<string, Tensor>, epoch: number): Promise<string> {
  await saveSafetensors(path, model, { format: "pt", "batch-cam": FORMAT, epoch: String(epoch) });
  return path;
}

/** Writes the weights of an epoch, and removes saved ones of epochs before the last `keep`. */
export async function saveEpoch(
  runDirectory: string,
  model: ReadonlyMap<string, Tensor>,
  { epoch, keep }: { epoch: number; keep: number },
): Promise<void> {
  const folder = folderOf(runDirectory);
  await asFileFault(runDirectory, async () => {
    await saveWeights(join(folder, `epoch-${epoch}.safetensors`), model, epoch);
    const kept = (await readdir(folder)).flatMap((name) => Number(name.match(/^epoch-(\d+)\.safetensors$/)?.[1] ?? []));
    for (const old of kept.sort((a, b) => b - a).slice(keep))
      await rm(join(folder, `epoch-${old}.safetensors`), { force: true });
  });
}

/**
 * Reads the last checkpoint of a run. The caller frees the tensors.
 *
 * @throws E_CHECKPOINT if it is missing, damaged, or was not written by batch-cam
 */
export async function loadCheckpoint(runDirectory: string): Promise<Snapshot> {
  const path = lastCheckpoint(runDirectory);
  try {
    const metadata = await readSafetensorsMetadata(path);
    if (metadata["batch-cam"] !== FORMAT || metadata.state === undefined) {
      throw new BatchCamError(
        "E_CHECKPOINT",
        `its format is ${metadata["batch-cam"] ?? "unknown"}, this version reads ${FORMAT}`,
      );
    }
    if (!STATE_NAME.test(metadata.state))
      throw new BatchCamError(
        "E_CHECKPOINT",
        `it names ${describeValue(metadata.state)} as its state, which is not a name that a run writes`,
      );
    const statePath = join(folderOf(runDirectory), metadata.state);
    const { progress } = await readSafetensorsMetadata(statePath);
    return {
      model: await loadSafetensors(path),
      state: await loadSafetensors(statePath),
      progress: readProgress(progress),
    };
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new BatchCamError(
      "E_CHECKPOINT",
      `cannot resume from ${path}: ${reason}; start again with { overwrite: true }`,
      {
        cause,
      },
    );
  }
}

/** Loads a checkpoint's weights into the model of its run. @throws E_CHECKPOINT naming the file if they do not fit */
export function loadCheckpointed(model: Module, weights: ReadonlyMap<string, Tensor>, checkpoint: string): void {
  try {
    model.loadStateDict(weights);
  } catch (error) {
    if (!(error instanceof BatchCamError)) throw error;
    const problem = withoutStrictAdvice(error.detail);
    const remedy = "restore the file, or name another checkpoint";
    throw new BatchCamError("E_CHECKPOINT", `${checkpoint} does not belong to its run: ${problem}; ${remedy}`, {
      cause: error,
    });
  }
}

/** JSON has no NaN and no Infinity, so these are written as strings. */
const keepNumbers = (_: string, value: unknown): unknown =>
  typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
const NO_JSON: readonly unknown[] = ["NaN", "Infinity", "-Infinity"];
const numbersAgain = (_: string, value: unknown): unknown => (NO_JSON.includes(value) ? Number(value) : value);

function readProgress(text: string | undefined): Progress {
  const progress = JSON.parse(text ?? "null", numbersAgain) as Progress | null;
  const counts = [progress?.step, progress?.epoch, progress?.batch, progress?.bestEpoch];
  const seconds = [progress?.seconds, progress?.epochSeconds, progress?.means?.images];
  const whole =
    counts.every((value) => Number.isSafeInteger(value) && Number(value) >= 0) &&
    seconds.every((value) => Number.isFinite(value) && Number(value) >= 0) &&
    Array.isArray(progress?.history) &&
    progress.history.every(isRecord) &&
    (progress.rejudged === undefined || isRejudged(progress.rejudged)) &&
    typeof progress.means.sums === "object" &&
    progress.means.sums !== null;
  if (whole) return progress;
  throw new BatchCamError("E_CHECKPOINT", "its state does not contain the progress of the run");
}

/** Whether a row of the history has the fields that a resumed run reads. */
function isRecord(row: Partial<EpochRecord> | null): boolean {
  return Number.isSafeInteger(row?.epoch) && typeof row?.val?.accuracy === "number" && typeof row.train === "object";
}

function isRejudged({ after, step, val }: Partial<Rejudged>): boolean {
  return [after, step].every(Number.isSafeInteger) && (val === null || typeof val?.accuracy === "number");
}

/** Frees the handles of a state. Memory that other tensors share is not freed. */
export function disposeAll(...states: ReadonlyMap<string, Tensor>[]): void {
  for (const state of states) for (const tensor of state.values()) tensor.dispose();
}
