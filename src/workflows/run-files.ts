import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { expectPath } from "../arguments.ts";
import { savedTrainConfig, type TrainConfig } from "../config/index.ts";
import { BatchCamError } from "../errors.ts";
import { nearestName } from "../nearest-name.ts";
import { readRegularText, statOf } from "../regular-file.ts";
import { CONFIG, type RunData, readRunData } from "../train/internal.ts";

/** The files that are read to open a run. */
export interface RunFiles {
  /** The run directory. */
  run: string;
  checkpoint: string;
  config: TrainConfig;
  runData: RunData | null;
}

const BEST = join("checkpoints", "best.safetensors");

/**
 * Finds the files of a run directory, or of a checkpoint in one.
 *
 * @param operation the name of the caller in error messages
 * @throws E_CHECKPOINT if the path is not a finished run, with the reason and a path that may have been meant
 */
export async function runFiles(runOrCheckpoint: string, operation: string): Promise<RunFiles> {
  expectPath(`${operation}: run`, runOrCheckpoint);
  const isFile = runOrCheckpoint.endsWith(".safetensors");
  const run = isFile ? dirname(dirname(runOrCheckpoint)) : runOrCheckpoint;
  const checkpoint = isFile ? runOrCheckpoint : join(run, BEST);
  const problem = faultOf({ given: runOrCheckpoint, run, checkpoint, isFile });
  if (problem !== null) throw new BatchCamError("E_CHECKPOINT", `${operation}: ${problem}`);
  return { run, checkpoint, config: await configOf(join(run, CONFIG), operation), runData: await readRunData(run) };
}

const NAME_ONE = "name a run directory that batch-cam train wrote, or a checkpoint in one";

/** The reason why a path is not a finished run's, with advice, or null if it is one. */
function faultOf(paths: { given: string; run: string; checkpoint: string; isFile: boolean }): string | null {
  const { given, run, checkpoint, isFile } = paths;
  const found = statOf(given);
  if (found === undefined) {
    const beside = isFile ? checkpointsBeside(given) : runsIn(dirname(given));
    const near = nearestName(
      basename(given),
      beside.map((path) => basename(path)),
    );
    const meant = near === undefined ? listed(beside) : ` (did you mean ${join(dirname(given), near)}?)`;
    return `${given} is not a finished run: there is no such ${isFile ? "file" : "folder"}${meant}; ${NAME_ONE}`;
  }
  if (!isFile && !found.isDirectory()) return `${given} is not a run: it is a file; ${NAME_ONE}`;
  if (!existsSync(join(run, CONFIG))) {
    if (isFile) return `${given} is not in a run directory (there is no ${join(run, CONFIG)}); ${NAME_ONE}`;
    const runs = runsIn(run);
    const above = existsSync(join(dirname(run), CONFIG)) ? `; it is a folder inside the run ${dirname(run)}` : "";
    const instead =
      runs.length > 0 ? `; it contains the runs ${runs.slice(0, MOST_NAMED).join(", ")}` : above || `; ${NAME_ONE}`;
    return `${run} is not a finished run: it has no ${join(run, CONFIG)}${instead}`;
  }
  if (existsSync(checkpoint)) return null;
  return `${run} is not a finished run: it has no ${checkpoint}, which is written after the first epoch; continue the run with \`npx batch-cam train --resume ${run}\``;
}

const listed = (paths: readonly string[]) =>
  paths.length === 0 ? "" : `; the same folder contains ${paths.slice(0, MOST_NAMED).join(", ")}`;

async function configOf(path: string, operation: string): Promise<TrainConfig> {
  try {
    return savedTrainConfig(JSON.parse(await readRegularText(path)), path);
  } catch (cause) {
    if (cause instanceof BatchCamError) throw cause;
    const problem = `${path} cannot be read (${(cause as Error).message}): restore it, or name another run`;
    throw new BatchCamError("E_CHECKPOINT", `${operation}: ${problem}`, { cause });
  }
}

/** The largest number of paths that a message lists. */
export const MOST_NAMED = 5;

/** The run directories in a folder. */
export const runsIn = (folder: string): string[] => pathsIn(folder).filter((path) => existsSync(join(path, CONFIG)));

const checkpointsBeside = (path: string): string[] =>
  pathsIn(dirname(path)).filter((other) => other.endsWith(".safetensors"));

function pathsIn(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch {
    return []; // the folder does not exist, or it cannot be read
  }
}
