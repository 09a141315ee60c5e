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

/** The parts that a program passes to `train`, instead of or in addition to the options of a config. */
export interface GivenToRun {
  readonly model?: Module | undefined;
  readonly data?: GivenSplits | undefined;
  readonly losses?: ExtraLosses | undefined;
}

/** The record that a run keeps of the model and the loss terms that a program passed. `data.json` has the digests of its images. */
export interface GivenRecord {
  model: ModelDescription | null;
  /** The names of the terms that the program added to the loss. */
  losses: readonly string[];
}

/** Writes the record for a new run if more than images were passed. */
export async function writeGiven(runDirectory: string, { model, losses = new Map() }: GivenToRun): Promise<void> {
  if (model === undefined && losses.size === 0) return;
  const record: GivenRecord = { model: model === undefined ? null : describeModel(model), losses: [...losses.keys()] };
  const text = JSON.stringify({ schemaVersion: 1, ...record }, null, 2);
  await writeFileAtomically(join(runDirectory, GIVEN_FILE), `${text}\n`);
}

const NOTHING: GivenRecord = { model: null, losses: [] };

/**
 * Reads a run's `given.json`. The record is empty if the file does not exist.
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

/** The parts that were passed to a run when it began, and those that are passed now. */
export interface GivenAgain {
  /** The operation at the start of errors. */
  operation: string;
  runDirectory: string;
  /** The parts that were passed according to the run's config. */
  parts: GivenParts;
  record: GivenRecord;
}

/**
 * Throws unless the passed model, or its absence, agrees with the run.
 * @param now the description of the passed model; null if none was passed
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

/** Throws unless the added loss terms have the same names as those of the run. */
export function expectLossesOfRun(run: GivenAgain, losses: ExtraLosses | undefined): void {
  const { operation, runDirectory, record } = run;
  const now = [...(losses?.keys() ?? [])];
  const missing = record.losses.filter((name) => !now.includes(name));
  const added = now.filter((name) => !record.losses.includes(name));
  if (missing.length + added.length === 0) return;
  const list = (names: readonly string[]) => names.map((name) => JSON.stringify(name)).join(", ");
  const faults = [
    ...(missing.length > 0
      ? [`the ${wordFor(missing.length, "term")} ${list(missing)} ${wordFor(missing.length, "is", "are")} missing`]
      : []),
    ...(added.length > 0
      ? [`the ${wordFor(added.length, "term")} ${list(added)} ${wordFor(added.length, "is", "are")} new`]
      : []),
  ];
  const remedy = record.losses.length === 0 ? "leave the option loss out" : `give them again, ${callOf(run, "resume")}`;
  throw new BatchCamError(
    "E_CONFIG",
    `${operation}: loss: a run continues with the objective that it was started with, but in the objective given for the run ${runDirectory}, ${faults.join(", and ")}: ${remedy}`,
  );
}

/** The error for a run whose model has to be passed by a program again. */
export function cannotRebuild(run: GivenAgain): BatchCamError {
  const { operation, runDirectory, record } = run;
  const what = record.model === null ? "" : ` (a ${record.model.type})`;
  return new BatchCamError(
    "E_CONFIG",
    `${operation}: a program gave the run ${runDirectory} its model${what}, which cannot be rebuilt from the run directory. In TypeScript, give the same network: ${callOf(run, operation)}`,
  );
}

/**
 * The call by which a program performs an operation with a run that needs the passed parts. The command line does not translate the key
 * in quotes into a flag.
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
