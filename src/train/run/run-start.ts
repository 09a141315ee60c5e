import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isTemporary } from "../../atomic-file.ts";
import type { TrainConfig } from "../../config/index.ts";
import { BatchCamError } from "../../errors.ts";
import { readRegularText } from "../../regular-file.ts";
import { lastCheckpoint } from "./checkpoint.ts";
import { BEGINNINGS, CONFIG } from "./run-file-names.ts";
import { RUN_LOCK } from "./run-lock.ts";

/** The content of a folder, as far as it decides how a run starts there. */
export type FolderState =
  /** No file, or only files that a run writes before it trains. */
  | { readonly holds: "nothing" }
  /** Files without a `config.json`. */
  | { readonly holds: "other files"; readonly names: readonly string[] }
  /** A `config.json` that cannot be read. */
  | { readonly holds: "a damaged config"; readonly problem: string }
  /** A `config.json` that was not written by a run. */
  | { readonly holds: "a foreign config" }
  | { readonly holds: "a run"; readonly fastDevRun: boolean; readonly checkpoint: boolean; readonly saved: unknown };

/**
 * The way in which a run starts in a folder:
 * - "new": with the config of the call, in a folder without a run;
 * - "replace": the same, and the files of the run that is there are deleted;
 * - "continue": with the config of the run that is there, from its last checkpoint;
 * - "restart": with the config of the run that is there, from its first step, because it has no checkpoint.
 */
export type RunStart = "new" | "replace" | "continue" | "restart";

type Asked = Pick<TrainConfig, "resume" | "overwrite" | "fastDevRun">;

/**
 * Decides how a run starts. No other code decides that.
 *
 * @throws E_CONFIG if the folder contains a run and neither `resume` nor `overwrite` is given, if it contains files that no run wrote, or
 * if it contains no run to resume; E_CHECKPOINT if the run to resume has no valid config
 */
export function decideStart(directory: string, asked: Asked, state: FolderState): RunStart {
  return asked.resume === false ? newStart(directory, asked, state) : resumedStart(directory, state);
}

function newStart(directory: string, { overwrite, fastDevRun }: Asked, state: FolderState): RunStart {
  const otherwise = "give this run another name with { experiment: NAME }";
  switch (state.holds) {
    case "nothing":
      return "new";
    case "other files": {
      const names = state.names.slice(0, 3).join(", ");
      throw refusal(`${directory} contains ${names} but no run (it has no ${CONFIG}): move that away, or ${otherwise}`);
    }
    case "a damaged config":
    case "a foreign config":
      throw refusal(`${directory} has a ${CONFIG} that was not written by batch-cam: move that away, or ${otherwise}`);
    case "a run":
      // A fast dev run overwrites without being asked, which must not delete a real run.
      if (overwrite && (!fastDevRun || state.fastDevRun)) return "replace";
      throw refusal(
        `${directory} already contains a run: give { resume: true } to continue it, { overwrite: true } to start again, or { experiment: NAME } for a run with another name`,
      );
  }
}

function resumedStart(directory: string, state: FolderState): RunStart {
  const path = join(directory, CONFIG);
  switch (state.holds) {
    case "nothing":
    case "other files":
      throw refusal(`resume: there is no run in ${directory} (it has no ${CONFIG}); name a run directory`);
    case "a damaged config":
      throw damaged(`resume: cannot read ${path}: ${state.problem}; restore it, or start a new run`);
    case "a foreign config":
      throw damaged(`resume: ${path} is damaged, or was not written by a run`);
    case "a run":
      if (state.fastDevRun)
        throw refusal(`resume: ${directory} is a fast dev run, which starts from the beginning each time`);
      return state.checkpoint ? "continue" : "restart";
  }
}

const refusal = (message: string): BatchCamError => new BatchCamError("E_CONFIG", message);
const damaged = (message: string): BatchCamError => new BatchCamError("E_CHECKPOINT", message);

/** Reads the content of a folder. */
export async function folderState(directory: string): Promise<FolderState> {
  const names = await readdir(directory).catch(() => []);
  const held = names.filter((name) => ![...BEGINNINGS, RUN_LOCK].includes(name) && !isTemporary(name));
  if (held.length === 0) return { holds: "nothing" };
  if (!held.includes(CONFIG)) return { holds: "other files", names: held };
  let saved: unknown;
  try {
    saved = JSON.parse(await readRegularText(join(directory, CONFIG)));
  } catch (error) {
    return { holds: "a damaged config", problem: (error as Error).message };
  }
  const { model, dataset, experiment, fastDevRun } = (saved ?? {}) as Record<string, unknown>;
  // The config of a run of this or another version.
  if (![model, dataset, experiment].every((value) => typeof value === "string")) return { holds: "a foreign config" };
  const checkpoint = existsSync(lastCheckpoint(directory));
  return { holds: "a run", fastDevRun: fastDevRun === true, checkpoint, saved };
}

/** The codes of errors from resuming a run that is damaged, or that was started with another version, config or environment. */
const RESTARTED: ReadonlySet<string> = new Set(["E_CHECKPOINT", "E_CONFIG"]);

/**
 * Continues a run that a command started earlier, or trains it from the beginning if it has no checkpoint or cannot be resumed. Call it
 * only for a folder whose content the command created.
 *
 * @param train.restart called with the error of resuming, or with null if there was nothing to resume
 */
export async function continueOrRestart<T>(
  directory: string,
  train: { resume: () => Promise<T>; restart: (error: BatchCamError | null) => Promise<T> },
): Promise<T> {
  if (!existsSync(lastCheckpoint(directory))) return train.restart(null);
  try {
    return await train.resume();
  } catch (error) {
    if (!(error instanceof BatchCamError && RESTARTED.has(error.code))) throw error;
    return train.restart(error);
  }
}
