import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileFault, isTemporary, makeFolder, removeIfEmpty, writeFileAtomically } from "../../atomic-file.ts";
import {
  resumeTrainConfig,
  runDirectoryOf,
  savedTrainConfig,
  type TrainConfig,
  type TrainConfigInput,
} from "../../config/index.ts";
import { expectModelOptions, expectUsedOptions, givenPartsOf, parseGivenConfig } from "../../config/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { isLink } from "../../regular-file.ts";
import { describeModel } from "./given-model.ts";
import { expectLossesOfRun, expectModelOfRun, type GivenToRun, readGiven } from "./given-parts.ts";
import { BEGINNINGS, CONFIG, FOLDERS, RESULTS } from "./run-file-names.ts";
import { lockRun } from "./run-lock.ts";
import { decideStart, folderState, type RunStart } from "./run-start.ts";

/** A run's folder, locked for this process, and the run's effective config. */
export interface OpenRun {
  directory: string;
  config: TrainConfig;
  /** The run's saved `config.json` on resuming; null for a new run. */
  saved: TrainConfig | null;
  /** The path of the data that was passed in this call. */
  dataDir: string | undefined;
  start: RunStart;
  /** Deletes the files of an earlier run but those named, `config.json` first. Call it only once the new run is sure to begin. */
  clear: (kept?: readonly string[]) => Promise<void>;
  close: () => void;
}

/**
 * Opens the run directory that the config names: a new one or, with `resume`, the existing one, whose saved config then
 * applies. Deletes nothing.
 *
 * @throws what `decideStart` throws; E_CONFIG and E_CHECKPOINT if a run is resumed with other options, another model or other
 *   loss terms than it began with
 */
export async function openRun(input: TrainConfigInput, given: GivenToRun = {}): Promise<OpenRun> {
  const parts = { model: given.model !== undefined, data: given.data !== undefined };
  const asked = parseGivenConfig(input, parts);
  const directory = runDirectoryOf(asked);
  if (asked.resume === false) {
    expectUsedOptions(asked);
    expectModelOptions(asked);
  }
  const decide = async () => {
    const state = await folderState(directory);
    return { start: decideStart(directory, asked, state), state };
  };
  const first = await decide();
  if (first.start === "replace") expectOwnFolders(directory);
  await makeFolder(directory);
  const release = lockRun(directory);
  const close = () => {
    release();
    removeIfEmpty(directory);
  };
  try {
    const { start, state } = await decide(); // again, now that no other process writes there
    const isNew = start === "new" || start === "replace" || state.holds !== "a run";
    const { config, saved } = isNew
      ? { config: asked, saved: null }
      : await resumedConfig(directory, { asked, input, saved: state.saved, given });
    if (!isNew) await removeLeftovers(directory);
    return {
      directory,
      config,
      saved,
      dataDir: input.dataDir,
      start,
      clear: (kept = []) => clear(directory, kept),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

interface Resumed {
  asked: TrainConfig;
  input: TrainConfigInput;
  saved: unknown;
  given: GivenToRun;
}

async function resumedConfig(
  directory: string,
  { asked, input, saved, given }: Resumed,
): Promise<{ config: TrainConfig; saved: TrainConfig }> {
  const before = savedTrainConfig(saved);
  const parts = givenPartsOf(before);
  const run = { operation: "resume", runDirectory: directory, parts, record: await readGiven(directory) };
  expectModelOfRun(run, given.model === undefined ? null : describeModel(given.model));
  expectLossesOfRun(run, given.losses);
  const { dataset, ...rest } = input;
  // Images that a program gives replace the data set of its config, as they did when the run began.
  const config = resumeTrainConfig(saved, parts.data && given.data !== undefined ? rest : input);
  const { output, experiment } = asked;
  return { config: { ...config, output, experiment }, saved: before };
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

async function clear(directory: string, kept: readonly string[]): Promise<void> {
  try {
    await removeResults(directory, kept);
  } catch (error) {
    throw fileFault(`cannot remove the files of the earlier run in ${directory}`, error);
  }
}

async function removeResults(directory: string, kept: readonly string[]): Promise<void> {
  for (const name of [CONFIG, ...RESULTS, ...BEGINNINGS])
    if (!kept.includes(name)) await rm(join(directory, name), { force: true });
  for (const [folder, ours] of Object.entries(FOLDERS)) {
    const path = join(directory, folder);
    const names: string[] = await readdir(path).catch(() => []);
    for (const name of names) if (ours.test(name) || isTemporary(name)) await rm(join(path, name), { force: true });
    removeIfEmpty(path);
  }
}

/** Temporary files of a process that was killed during a write. */
async function removeLeftovers(directory: string): Promise<void> {
  for (const folder of [directory, join(directory, "checkpoints"), join(directory, "figures")].filter(isOwn)) {
    const names = await readdir(folder).catch(() => []);
    for (const name of names) if (isTemporary(name)) await rm(join(folder, name), { force: true });
  }
}

/** The run's folder may be a link, but nothing in it may be a link to another place. */
const isOwn = (path: string, index: number): boolean => index === 0 || !isLink(path);

export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomically(path, `${JSON.stringify(value, null, 2)}\n`);
}
