import { existsSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { isTemporary, makeFolder, writeFileAtomically } from "../atomic-file.ts";
import {
  parseTrainConfig,
  resumeTrainConfig,
  runDirectoryOf,
  type TrainConfig,
  type TrainConfigInput,
} from "../config/index.ts";
import { BatchCamError } from "../errors.ts";
import { lockRun } from "./run-lock.ts";

/** A run's folder, claimed for this process, and the config that the run goes by. */
export interface OpenRun {
  directory: string;
  config: TrainConfig;
  /** Whether there is a checkpoint to go on from. */
  resuming: boolean;
  close: () => void;
}

/**
 * Opens the run directory that the config names: a new one, or with `resume` the one that is there, whose saved config
 * then holds.
 *
 * @throws E_CONFIG where a run exists and neither `resume` nor `overwrite` is given, or there is none to resume
 */
export async function openRun(input: TrainConfigInput): Promise<OpenRun> {
  const asked = parseTrainConfig(input);
  const directory = runDirectoryOf(asked);
  const exists = existsSync(join(directory, "config.json"));
  if (asked.resume !== false) {
    if (!exists) throw new BatchCamError("E_CONFIG", `resume: there is no run in ${directory} (it has no config.json)`);
    const close = lockRun(directory);
    const config = {
      ...resumeTrainConfig(await savedConfig(directory), input),
      output: asked.output,
      experiment: asked.experiment,
    };
    await removeLeftovers(directory);
    return { directory, config, resuming: existsSync(join(directory, "checkpoints", "last.safetensors")), close };
  }
  if (exists && !asked.overwrite) {
    throw new BatchCamError(
      "E_CONFIG",
      `${directory} holds a run already: --resume goes on with it, --overwrite begins anew, --experiment gives this run another name`,
    );
  }
  return { directory, config: asked, resuming: false, close: await claimNew(directory) };
}

async function claimNew(directory: string): Promise<() => void> {
  await makeFolder(directory);
  const close = lockRun(directory);
  for (const name of [
    "metrics.jsonl",
    "summary.csv",
    "checkpoints",
    "figures",
    "prototypes.safetensors",
    "report.html",
  ]) {
    await rm(join(directory, name), { recursive: true, force: true });
  }
  return close;
}

async function savedConfig(directory: string): Promise<unknown> {
  const path = join(directory, "config.json");
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new BatchCamError("E_CHECKPOINT", `resume: cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** Temporary files of a process that was killed while it wrote. */
async function removeLeftovers(directory: string): Promise<void> {
  for (const folder of [directory, join(directory, "checkpoints"), join(directory, "figures")]) {
    const names = await readdir(folder).catch(() => []);
    for (const name of names) if (isTemporary(name)) await rm(join(folder, name), { force: true });
  }
}

export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomically(path, `${JSON.stringify(value, null, 2)}\n`);
}
