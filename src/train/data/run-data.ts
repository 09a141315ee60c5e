import { existsSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { type DataRecord, packRecord, unpackRecord } from "../../data/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { readRegularText } from "../../regular-file.ts";
import { writeJson } from "../run/run-directory.ts";

/** The record of a run's data, saved as `data.json`. */
export interface RunData {
  record: DataRecord;
  /** The paths at which the data were; null for data that come with the package or were passed by a program. */
  place: DataPlace | null;
  plan: RunPlan;
  /** The changes of the data on resuming, in order. Runs of earlier versions have no such list. */
  changes: readonly DataChange[];
  /** The warnings about the data that the run has given, so that a resumed run does not repeat them. Earlier versions kept none. */
  warnings: readonly string[];
}

/** A change of the data that was accepted on resuming. */
export interface DataChange {
  /** The epoch in progress, from 1. */
  epoch: number;
  /** The number of steps that were taken before. */
  step: number;
  /** The differences, each a part of a sentence. */
  differences: readonly string[];
}

/** Several paths to the same folder or file, so that one of them is still valid after a move or from another working folder. */
export interface DataPlace {
  absolute: string;
  /** Relative to the run directory. */
  fromRun: string;
  /** The path that the user gave, relative to the working folder of that time. */
  given: string;
}

/**
 * The plan that a run derived from its number of training images when it began. If that number changes later, the plan stays the same.
 */
export interface RunPlan {
  stepsPerEpoch: number;
  /** Whether the run was resumed with other images than it began with. Its prototypes remain those of the first images. */
  otherData: boolean;
}

const FILE = "data.json";

/**
 * Reads a run's `data.json`; null for a run of a version that wrote none.
 * @throws E_CHECKPOINT if it is damaged
 */
export async function readRunData(runDirectory: string): Promise<RunData | null> {
  const path = join(runDirectory, FILE);
  let text: string;
  try {
    text = await readRegularText(path);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return null;
    throw new BatchCamError("E_CHECKPOINT", `cannot read ${path}: ${message}`, { cause });
  }
  const { place, plan, changes, warnings, ...record } = parsed(text, path);
  const { stepsPerEpoch, otherData } = (plan ?? {}) as Partial<RunPlan>;
  if (!Number.isSafeInteger(stepsPerEpoch) || (stepsPerEpoch as number) < 1) throw damaged(path, "it has no plan");
  const kept = { stepsPerEpoch: stepsPerEpoch as number, otherData: otherData === true };
  const about = { place: asPlace(place), plan: kept, changes: asChanges(changes), warnings: asTexts(warnings) };
  return { record: unpackRecord(record, path), ...about };
}

function parsed(text: string, path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch (cause) {
    throw damaged(path, (cause as Error).message);
  }
  throw damaged(path, "it does not contain an object");
}

const damaged = (path: string, reason: string): BatchCamError =>
  new BatchCamError(
    "E_CHECKPOINT",
    `${path} is damaged (${reason}), so the data of the run are not known; delete the file to continue without that check`,
  );

function asPlace(value: unknown): DataPlace | null {
  const { absolute, fromRun, given } = (value ?? {}) as Partial<DataPlace>;
  const texts = [absolute, fromRun, given].every((text) => typeof text === "string");
  return texts ? (value as DataPlace) : null;
}

const asTexts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((text) => typeof text === "string") : [];

function asChanges(value: unknown): DataChange[] {
  const isChange = ({ epoch, step, differences }: Partial<DataChange>) =>
    [epoch, step].every(Number.isSafeInteger) && Array.isArray(differences);
  return Array.isArray(value) ? value.filter((change: Partial<DataChange> | null) => isChange(change ?? {})) : [];
}

export async function writeRunData(runDirectory: string, { record, ...about }: RunData): Promise<void> {
  await writeJson(join(runDirectory, FILE), { schemaVersion: 1, ...about, ...packRecord(record) });
}

export function placeOf(dataDir: string | undefined, runDirectory: string): DataPlace | null {
  if (dataDir === undefined) return null;
  const absolute = resolve(dataDir);
  return { absolute, fromRun: relative(resolve(runDirectory), absolute), given: dataDir };
}

/**
 * The current path of a run's data: the path relative to the run directory, which may have been moved or copied together with
 * them, else the absolute path, else the path that the user gave, relative to the current working folder.
 *
 * @throws E_DATA if the data are at none of these
 */
export function findData({ absolute, fromRun, given }: DataPlace, runDirectory: string, operation: string): string {
  const tried = [...new Set([resolve(runDirectory, fromRun), absolute, resolve(given)])];
  const found = tried.find((path) => existsSync(path));
  // Keeps the path as the user wrote it, if it still leads to the same place.
  if (found !== undefined) return found === resolve(given) ? given : found;
  throw new BatchCamError(
    "E_DATA",
    `${operation}: the data of the run ${runDirectory} are not at ${tried.join(" or ")}; give their present path with dataDir`,
  );
}
