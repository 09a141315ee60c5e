import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileFault, isTemporary, makeFolder, removeIfEmpty, writeFileAtomically } from "../../atomic-file.ts";
import {
  parseTrainConfig,
  resumeTrainConfig,
  runDirectoryOf,
  savedTrainConfig,
  type TrainConfig,
  type TrainConfigInput,
} from "../../config/index.ts";
import { expectModelOptions, expectUsedOptions } from "../../config/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { isLink, readRegularText } from "../../regular-file.ts";
import { lastCheckpoint } from "./checkpoint.ts";
import { lockRun, RUN_LOCK } from "./run-lock.ts";

/** A run's folder, locked for this process, and the run's effective config. */
export interface OpenRun {
  directory: string;
  config: TrainConfig;
  /** The run's saved `config.json` on resuming; null for a new run. */
  saved: TrainConfig | null;
  /** The path of the data that was passed in this call. */
  dataDir: string | undefined;
  /** Whether there is a checkpoint to resume from. */
  resuming: boolean;
  /** Deletes the files of an earlier run, `config.json` first. Call it only once the new run is sure to begin. */
  clear: () => Promise<void>;
  close: () => void;
}

/** The files and folders that a run writes into its folder. */
const CONFIG = "config.json";
const RESULTS = [
  "metrics.jsonl",
  "summary.csv",
  "report.html",
  "profile.json",
  "profile-trace.json",
  "evaluation.json",
];
/** Folders, and the file names that a run uses in them. Other files in them belong to the user. */
const FOLDERS: Readonly<Record<string, RegExp>> = {
  checkpoints: /^((last|best|best-before|epoch-\d+)|last-\d+\.state)\.safetensors$/,
  figures: /^epoch-\d+\.png$/,
  tensorboard: /^events\.out\.tfevents\./,
};
/** Files written before training starts, which have no value alone. */
const BEGINNINGS = ["environment.json", "prototypes.safetensors", "data.json"];

/**
 * Opens the run directory that the config names: a new one or, with `resume`, the existing one, whose saved config then
 * applies. Deletes nothing.
 *
 * @throws E_CONFIG if a run exists and neither `resume` nor `overwrite` is given, if the folder holds files that no run wrote,
 *   or if there is no run to resume
 */
export async function openRun(input: TrainConfigInput): Promise<OpenRun> {
  const asked = parseTrainConfig(input);
  const directory = runDirectoryOf(asked);
  const resume = asked.resume !== false;
  if (resume) {
    if (!existsSync(join(directory, CONFIG)))
      throw new BatchCamError(
        "E_CONFIG",
        `resume: there is no run in ${directory} (it has no ${CONFIG}); name a run directory`,
      );
  } else {
    expectUsedOptions(asked);
    expectModelOptions(asked);
    await expectRoom(directory, asked);
    await makeFolder(directory);
  }
  const release = lockRun(directory);
  const close = () => {
    release();
    removeIfEmpty(directory);
  };
  try {
    const { config, saved } = resume
      ? await resumedConfig(directory, { asked, input })
      : { config: asked, saved: null };
    if (resume) await removeLeftovers(directory);
    const resuming = resume && existsSync(lastCheckpoint(directory));
    return { directory, config, saved, dataDir: input.dataDir, resuming, clear: () => clear(directory), close };
  } catch (error) {
    close();
    throw error;
  }
}

async function resumedConfig(
  directory: string,
  { asked, input }: { asked: TrainConfig; input: TrainConfigInput },
): Promise<{ config: TrainConfig; saved: TrainConfig }> {
  const saved = await savedConfig(directory);
  const before = asRun(saved);
  if (before?.fastDevRun)
    throw new BatchCamError("E_CONFIG", `resume: ${directory} is a fast dev run, which begins anew each time`);
  if (before === null)
    throw new BatchCamError(
      "E_CHECKPOINT",
      `resume: ${join(directory, CONFIG)} is no run's: it is damaged, or another's`,
    );
  const config = resumeTrainConfig(saved, input);
  const { output, experiment } = asked;
  return { config: { ...config, output, experiment }, saved: savedTrainConfig(saved) };
}

/** Refuses a folder that a new run must not write to. Files that batch-cam did not write are never deleted. */
async function expectRoom(directory: string, { overwrite, fastDevRun }: TrainConfig): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  const held = names.filter((name) => ![...BEGINNINGS, RUN_LOCK].includes(name) && !isTemporary(name));
  if (held.length === 0) return;
  if (!held.includes(CONFIG)) {
    throw new BatchCamError(
      "E_CONFIG",
      `${directory} holds ${held.slice(0, 3).join(", ")} and no run (it has no ${CONFIG}): move that away, or give this run another name with { experiment: NAME }`,
    );
  }
  const saved = await savedConfig(directory).catch(() => null);
  const before = asRun(saved);
  if (before === null) {
    throw new BatchCamError(
      "E_CONFIG",
      `${directory} has a ${CONFIG} that is no run's: move that away, or give this run another name with { experiment: NAME }`,
    );
  }
  if (overwrite && (!fastDevRun || before.fastDevRun)) return expectOwnFolders(directory);
  throw new BatchCamError(
    "E_CONFIG",
    `${directory} holds a run already: give { resume: true } to go on with it, { overwrite: true } to begin anew, or { experiment: NAME } for a run of another name`,
  );
}

/** Refuses to delete through a link, because its target is outside the run's folder. */
function expectOwnFolders(directory: string): void {
  const linked = Object.keys(FOLDERS).find((folder) => isLink(join(directory, folder)));
  if (linked === undefined) return;
  throw new BatchCamError(
    "E_CONFIG",
    `overwrite: ${join(directory, linked)} is a link, and nothing outside the run's folder is deleted: remove the link, or give this run another name with { experiment: NAME }`,
  );
}

/** The config that a run wrote, of this version or another; null if it was not written by a run. */
function asRun(saved: unknown): { fastDevRun: boolean } | null {
  if (typeof saved !== "object" || saved === null) return null;
  const { model, dataset, experiment, fastDevRun } = saved as Record<string, unknown>;
  const ours = [model, dataset, experiment].every((value) => typeof value === "string");
  return ours ? { fastDevRun: fastDevRun === true } : null;
}

async function clear(directory: string): Promise<void> {
  try {
    await removeResults(directory);
  } catch (error) {
    throw fileFault(`cannot remove what the earlier run left in ${directory}`, error);
  }
}

async function removeResults(directory: string): Promise<void> {
  for (const name of [CONFIG, ...RESULTS, ...BEGINNINGS]) await rm(join(directory, name), { force: true });
  for (const [folder, ours] of Object.entries(FOLDERS)) {
    const path = join(directory, folder);
    const names: string[] = await readdir(path).catch(() => []);
    for (const name of names) if (ours.test(name) || isTemporary(name)) await rm(join(path, name), { force: true });
    removeIfEmpty(path);
  }
}

async function savedConfig(directory: string): Promise<unknown> {
  const path = join(directory, CONFIG);
  try {
    return JSON.parse(await readRegularText(path));
  } catch (cause) {
    throw new BatchCamError(
      "E_CHECKPOINT",
      `resume: cannot read ${path}: ${(cause as Error).message}; restore it, or start a new run`,
      { cause },
    );
  }
}

/** Temporary files of a process that was killed during a write. */
async function removeLeftovers(directory: string): Promise<void> {
  for (const folder of [directory, join(directory, "checkpoints"), join(directory, "figures")].filter(isOwn)) {
    const names = await readdir(folder).catch(() => []);
    for (const name of names) if (isTemporary(name)) await rm(join(folder, name), { force: true });
  }
}

/** The run's folder itself may be a link; nothing in it may be a link to another place. */
const isOwn = (path: string, index: number): boolean => index === 0 || !isLink(path);

export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomically(path, `${JSON.stringify(value, null, 2)}\n`);
}
