import { join } from "node:path";
import type { TrainConfig } from "../../config/index.ts";
import { GIVEN, givenPartsOf } from "../../config/internal.ts";
import {
  type DataRecord,
  dataDifferences,
  missingFolders,
  type Renaming,
  renamingRemedy,
  renamings,
  rootOf,
} from "../../data/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { loadSafetensors } from "../../io/index.ts";
import { readRegularText } from "../../regular-file.ts";
import { type Tensor, tidy } from "../../tensor/index.ts";
import { disposeAll } from "../run/checkpoint.ts";
import { callOf, readGiven } from "../run/given-parts.ts";
import { type ConfiguredData, loadData } from "./configured-data.ts";
import type { GivenSplits } from "./given-splits.ts";
import { findData, type RunData } from "./run-data.ts";

export interface KnownDataOptions {
  /** The operation at the start of messages. */
  operation: string;
  runDirectory: string;
  /** The run's record of its data; null for a run of a version that kept none. */
  runData: RunData | null;
  /** Whether data that differ from the run's are accepted. */
  accept: boolean;
  /** Whether the run will be trained on them. */
  trains?: boolean;
  /** The present path of the data, instead of the paths that the run recorded. */
  dataDir?: string | undefined;
  given?: GivenSplits | undefined;
  signal?: AbortSignal | undefined;
}

/** The data of an existing run. */
export interface KnownData extends ConfiguredData {
  /** The run's config, with the current path of the data. */
  config: TrainConfig;
  /** The differences from the run's data that were accepted. */
  differences: string[];
}

/**
 * Loads the data of a run and compares them with the record that the run keeps of them.
 *
 * @throws E_DATA naming each difference, unless differences are accepted. Images in the record then keep their split, and other images
 * are added under the run's classes and normalisation
 */
export async function loadKnownData(run: TrainConfig, options: KnownDataOptions): Promise<KnownData> {
  const { operation, runDirectory, runData, accept, trains = false, given, signal } = options;
  const config = { ...run, ...placed(options) };
  if (runData === null)
    return { ...(await loadData(config, { draw: "order", given, signal })), config, differences: [] };
  const { record } = runData;
  if (record.dataset === null && given === undefined)
    throw new BatchCamError(
      "E_DATA",
      `${operation}: a program gave the run ${runDirectory} its images. In TypeScript, give them again: ${callOf({ runDirectory, parts: { ...givenPartsOf(run), data: true }, record: await readGiven(runDirectory) }, operation)}`,
    );
  // A run that was resumed with other data before leaves out the same images as at that time.
  const adapt = record.leftOut !== undefined;
  const load = { run: record, given, signal };
  const missing = given === undefined ? missingFolder(record, config) : null;
  const data = await withHint(missing, () => loadData(config, { ...load, adapt }));
  const differences = dataDifferences(record, data.record);
  if (differences.length === 0) return { ...data, config, differences };
  const renamed = renamings(record, data.record);
  if (missing !== null && renamed.length === 0) differences.push(missing);
  data.dispose();
  if (!accept) throw otherData(options, config, { differences, renamed });
  const adapted = await loadData(config, { ...load, adapt: true, trains });
  const note = `the data differ from those of the run (${differences.join("; ")}): the run's classes and normalisation are used for them`;
  return { ...adapted, warnings: [note, ...adapted.warnings], config, differences };
}

function missingFolder(record: DataRecord, { dataset, dataDir }: TrainConfig): string | null {
  const root = dataDir === undefined || dataset === GIVEN ? null : rootOf(dataset, dataDir);
  return root === null ? null : missingFolders(record, root);
}

/** Adds the missing folders to the error for data that cannot be read, because a renamed folder may be its cause. */
async function withHint<T>(hint: string | null, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (hint === null || !(error instanceof BatchCamError) || error.code !== "E_DATA") throw error;
    throw new BatchCamError("E_DATA", `${error.message} (${hint})`, { cause: error });
  }
}

/** The current path of the data, if it differs from the config's. */
function placed({ dataDir, runData, given, runDirectory, operation }: KnownDataOptions): Pick<TrainConfig, "dataDir"> {
  if (dataDir !== undefined) return { dataDir };
  const place = runData?.place ?? null;
  return place === null || given !== undefined ? {} : { dataDir: findData(place, runDirectory, operation) };
}

function otherData(
  { operation, runDirectory, given }: KnownDataOptions,
  { dataset, dataDir }: TrainConfig,
  { differences, renamed }: { differences: readonly string[]; renamed: readonly Renaming[] },
): BatchCamError {
  const what = given === undefined ? `the images of ${dataDir ?? dataset}` : "the images that were given";
  const own = "name the run's own data with dataDir, or";
  const remedy =
    renamed.length === 0
      ? `${own} accept these, under the run's classes, with acceptNewData`
      : `${own} ${renamingRemedy(renamed).remedy}; if the new name is meant, start a new run (acceptNewData ${renamingRemedy(renamed).otherwise})`;
  const problem = `${what} differ from those of the run ${runDirectory}: ${differences.join("; ")}`;
  return new BatchCamError("E_DATA", `${operation}: ${problem}. To continue, ${remedy}`);
}

/** The warning that evaluation and resuming give if a run's data cannot be compared in full. */
const UNKNOWN_DATA =
  "the run was started by a version that recorded nothing about its data, so only the number and names of the classes (as far as its model card has them), the image size and the mean images were compared";

/** Allows for the rounding of means over some ten thousand images. */
const TOLERANCE = 1e-4;

/**
 * Compares the data of a run without a record of its data. It uses the run's prototypes, which are statistics of the
 * training images of each class.
 *
 * @param now the same statistics of the current images
 * @throws E_DATA naming the classes whose training images differ, unless differences are accepted
 */
export async function comparePrototypes(
  now: Tensor,
  classNames: readonly string[],
  { operation, runDirectory, accept }: Pick<KnownDataOptions, "operation" | "runDirectory" | "accept">,
): Promise<string[]> {
  const saved = await loadSafetensors(join(runDirectory, "prototypes.safetensors"));
  try {
    const before = saved.get("prototypes");
    const differences = [
      ...(await cardDifferences(runDirectory, classNames)),
      ...(before === undefined ? [] : prototypeDifferences(before, now, classNames)),
    ];
    if (differences.length === 0) return [UNKNOWN_DATA];
    const problem = `the training images differ from those of the run ${runDirectory}: ${differences.join("; ")}`;
    if (accept) return [UNKNOWN_DATA, problem];
    throw new BatchCamError(
      "E_DATA",
      `${operation}: ${problem}. To continue, name the run's own data with dataDir, or accept these with acceptNewData`,
    );
  } finally {
    disposeAll(saved);
  }
}

/** A run's model card lists its classes in order, unless there are very many. */
async function cardDifferences(runDirectory: string, now: readonly string[]): Promise<string[]> {
  const card = await readRegularText(join(runDirectory, "README.md")).catch(() => "");
  const [, table = ""] = card.match(/^\| class \| accuracy \|\n[^\n]*\n((?:\|[^\n]*\n?)*)/m) ?? [];
  const before = Array.from(table.matchAll(/^\| `([^`|]+)` \|/gm), ([, name]) => name as string);
  const plain = (names: readonly string[]) => names.map((name) => name.replace(/\s+/g, " ")).join(", ");
  const known = before.length === table.trim().split("\n").length;
  if (!known || plain(before) === plain(now)) return [];
  return [`the classes are ${plain(now)} (in the run's model card ${plain(before)})`];
}

function prototypeDifferences(before: Tensor, now: Tensor, classNames: readonly string[]): string[] {
  if (before.sizes.join() !== now.sizes.join())
    return [
      `the number of classes and the image size are ${now.sizes.join("x")} (in the run ${before.sizes.join("x")})`,
    ];
  const apart = tidy(() => Array.from(before.sub(now).abs().amax([1, 2]).to("float32").data() as Float32Array));
  const others = classNames.filter((_, label) => (apart[label] as number) > TOLERANCE);
  if (others.length === 0) return [];
  return [`the mean image differs for ${others.map((name) => `"${name}"`).join(", ")}`];
}
