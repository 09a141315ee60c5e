import { join } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import type { GivenParts } from "../../config/internal.ts";
import { wordFor } from "../../counted.ts";
import { BatchCamError } from "../../errors.ts";
import type { Module } from "../../nn/index.ts";
import { readRegularText } from "../../regular-file.ts";
import type { GivenSplits } from "../data/given-splits.ts";
import type { ExtraLosses } from "../loop/extra-losses.ts";
import { describeModel, type ModelDescription, modelDifferences, type TensorDescription } from "./given-model.ts";
import { GIVEN_FILE } from "./run-file-names.ts";

/** What a program gives to `train` in place of what a config names, and beside it. */
export interface GivenToRun {
  readonly model?: Module | undefined;
  readonly data?: GivenSplits | undefined;
  readonly losses?: ExtraLosses | undefined;
}

/** What a run keeps of the model and the loss terms that a program gave; `data.json` has the digests of its images. */
export interface GivenRecord {
  model: ModelDescription | null;
  /** The names of the terms that the program added to the loss. */
  losses: readonly string[];
}

/** Writes what a new run was given, if that is more than images. */
export async function writeGiven(runDirectory: string, { model, losses = new Map() }: GivenToRun): Promise<void> {
  if (model === undefined && losses.size === 0) return;
  const record: GivenRecord = { model: model === undefined ? null : describeModel(model), losses: [...losses.keys()] };
  const text = JSON.stringify({ schemaVersion: 1, ...record }, null, 2);
  await writeFileAtomically(join(runDirectory, GIVEN_FILE), `${text}\n`);
}

const NOTHING: GivenRecord = { model: null, losses: [] };

/**
 * Reads a run's `given.json`; an empty record if there is none.
 * @throws E_CHECKPOINT if it is damaged
 */
export async function readGiven(runDirectory: string): Promise<GivenRecord> {
  const path = join(runDirectory, GIVEN_FILE);
  try {
    const { model, losses } = JSON.parse(await readRegularText(path)) as GivenRecord;
    const isWhole = Array.isArray(losses) && losses.every((name) => typeof name === "string");
    if (!isWhole || (model !== null && !isDescription(model))) throw new Error("a field is missing");
    return { model, losses };
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return NOTHING;
    throw new BatchCamError("E_CHECKPOINT", `cannot read ${path}: ${message}; restore it, or start a new run`, {
      cause,
    });
  }
}

function isDescription(value: Partial<ModelDescription>): boolean {
  const isTensor = (one: Partial<TensorDescription> | null) =>
    typeof one?.name === "string" && Array.isArray(one.shape) && one.shape.every(Number.isInteger);
  const lists = [value?.parameters, value?.buffers];
  return typeof value?.type === "string" && lists.every((list) => Array.isArray(list) && list.every(isTensor));
}

/** What a run was given, and what it is given now. */
export interface GivenAgain {
  /** The operation that an error names. */
  operation: string;
  runDirectory: string;
  /** What the run's config says was given. */
  parts: GivenParts;
  record: GivenRecord;
}

/**
 * Fails unless the model that is given, or is not, is that of a run.
 * @param now the description of the model that is given; null if none is
 */
export function expectModelOfRun(run: GivenAgain, now: ModelDescription | null): void {
  const { operation, runDirectory, parts, record } = run;
  if (parts.model && now === null) throw cannotRebuild(run);
  if (!parts.model && now !== null)
    throw new BatchCamError(
      "E_CONFIG",
      `${operation}: the config of the run ${runDirectory} names its model: leave the option model out`,
    );
  if (record.model === null || now === null) return;
  const differences = modelDifferences(record.model, now, { trains: operation === "resume" });
  if (differences.length === 0) return;
  throw new BatchCamError(
    "E_CHECKPOINT",
    `${operation}: model: it is not of the architecture of the run ${runDirectory} (${record.model.type}): ${differences.join("; ")}. Give the same network, or start a new run`,
  );
}

/** Fails unless the terms that are added to the loss have the names of the run's. */
export function expectLossesOfRun(run: GivenAgain, losses: ExtraLosses | undefined): void {
  const { operation, runDirectory, record } = run;
  const now = [...(losses?.keys() ?? [])];
  const missing = record.losses.filter((name) => !now.includes(name));
  const added = now.filter((name) => !record.losses.includes(name));
  if (missing.length + added.length === 0) return;
  const list = (names: readonly string[]) => names.map((name) => JSON.stringify(name)).join(", ");
  const faults = [
    ...(missing.length > 0
      ? [`its ${wordFor(missing.length, "term")} ${list(missing)} ${wordFor(missing.length, "is", "are")} missing`]
      : []),
    ...(added.length > 0 ? [`it has no ${wordFor(added.length, "term")} ${list(added)}`] : []),
  ];
  const remedy = record.losses.length === 0 ? "leave the option loss out" : `give them again, ${callOf(run, "resume")}`;
  throw new BatchCamError(
    "E_CONFIG",
    `${operation}: loss: a run goes on with the objective that it began with, and of the run ${runDirectory} ${faults.join(", and ")}: ${remedy}`,
  );
}

/** The error for a run whose model only the program that gave it can make again. */
export function cannotRebuild(run: GivenAgain): BatchCamError {
  const { operation, runDirectory, record } = run;
  const what = record.model === null ? "" : ` (a ${record.model.type})`;
  return new BatchCamError(
    "E_CONFIG",
    `${operation}: a program gave the run ${runDirectory} its model${what}, which cannot be rebuilt from the run directory. In TypeScript, give the same network: ${callOf(run, operation)}`,
  );
}

/**
 * The call by which a program does an operation with a run that needs what the program gave. The key in quotes stays as it is
 * where the command line translates options into flags.
 */
export function callOf(
  { runDirectory, parts, record }: Pick<GivenAgain, "runDirectory" | "parts" | "record">,
  operation: string,
): string {
  const path = JSON.stringify(runDirectory);
  const given = [...(parts.model ? ["model"] : []), ...(parts.data ? ["data"] : [])];
  if (operation === "explain" && parts.model) {
    const weights = JSON.stringify(join(runDirectory, "checkpoints/best.safetensors"));
    return `model.loadStateDict(await loadSafetensors(${weights})), then explain(model, images) of batch-cam`;
  }
  const loss = record.losses.length === 0 ? [] : [`loss: { ${record.losses.join(", ")} }`];
  if (operation === "train")
    return `train(config, { ${[...given, ...loss].join(", ")} }) of batch-cam/train, with the options of ${join(runDirectory, "config.json")}`;
  if (operation === "resume")
    return `train({ "resume": ${path} }, { ${[...given, ...loss].join(", ")} }) of batch-cam/train`;
  const name = ["evaluateSpurious", "writeReport"].includes(operation) ? operation : "evaluate";
  return `${name}(${path}, { ${given.join(", ")} }) of batch-cam/train`;
}
