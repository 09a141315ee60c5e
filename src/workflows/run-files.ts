import { existsSync, readdirSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { expectPath } from "../arguments.ts";
import { parseTrainConfig, type TrainConfig } from "../config/index.ts";
import { BatchCamError } from "../errors.ts";
import { nearestName } from "../nearest-name.ts";
import { readRegularText } from "../regular-file.ts";
import { type RunData, readRunData } from "../train/data/run-data.ts";

/** What opening a run begins with. */
export interface RunFiles {
  /** The run directory. */
  run: string;
  checkpoint: string;
  config: TrainConfig;
  runData: RunData | null;
}

const CONFIG = "config.json";
const BEST = join("checkpoints", "best.safetensors");

/**
 * The files of a run directory, or of a checkpoint in one.
 *
 * @param operation what an error names
 * @throws E_CHECKPOINT for what is no finished run, with what it is and what may have been meant
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

const NAME_ONE = "name a run directory, as batch-cam train writes it, or a checkpoint in one";

/** What is wrong with a path that should be a run's, and what to do; null for a run. */
function faultOf(paths: { given: string; run: string; checkpoint: string; isFile: boolean }): string | null {
  const { given, run, checkpoint, isFile } = paths;
  const found = lookAt(given);
  if (found === undefined) {
    const beside = isFile ? checkpointsBeside(given) : runsIn(dirname(given));
    const near = nearestName(
      basename(given),
      beside.map((path) => basename(path)),
    );
    const meant = near === undefined ? listed(beside) : ` (did you mean ${join(dirname(given), near)}?)`;
    return `${given} is no finished run: there is no such ${isFile ? "file" : "folder"}${meant}; ${NAME_ONE}`;
  }
  if (!isFile && !found.isDirectory()) return `${given} is no run: it is a file; ${NAME_ONE}`;
  if (!existsSync(join(run, CONFIG))) {
    if (isFile) return `${given} lies in no run (there is no ${join(run, CONFIG)}); ${NAME_ONE}`;
    const runs = runsIn(run);
    const above = existsSync(join(dirname(run), CONFIG)) ? `; it is a part of the run ${dirname(run)}` : "";
    const instead =
      runs.length > 0 ? `; it holds runs: ${runs.slice(0, MOST_NAMED).join(", ")}` : above || `; ${NAME_ONE}`;
    return `${run} is no finished run: it has no ${join(run, CONFIG)}${instead}`;
  }
  if (existsSync(checkpoint)) return null;
  return `${run} is no finished run: it has no ${checkpoint}, which the first epoch leaves; go on with the run by \`npx batch-cam train --resume ${run}\``;
}

const listed = (paths: readonly string[]) =>
  paths.length === 0 ? "" : `; beside it are ${paths.slice(0, MOST_NAMED).join(", ")}`;

async function configOf(path: string, operation: string): Promise<TrainConfig> {
  try {
    return parseTrainConfig(JSON.parse(await readRegularText(path)), { what: path });
  } catch (cause) {
    if (cause instanceof BatchCamError) throw cause;
    const problem = `${path} cannot be read (${(cause as Error).message}): restore it, or name another run`;
    throw new BatchCamError("E_CHECKPOINT", `${operation}: ${problem}`, { cause });
  }
}

/** More are no help in a message. */
export const MOST_NAMED = 5;

/** The run directories in a folder. */
export const runsIn = (folder: string): string[] => pathsIn(folder).filter((path) => existsSync(join(path, CONFIG)));

const checkpointsBeside = (path: string): string[] =>
  pathsIn(dirname(path)).filter((other) => other.endsWith(".safetensors"));

/** What a path names; undefined where there is nothing that can be reached. */
function lookAt(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

function pathsIn(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch {
    return []; // there is none, or it cannot be read
  }
}
