import {
  describeValue,
  expectInteger,
  expectNumber,
  expectPath,
  expectSignal,
  optionsOf,
  wrongArgument,
} from "../arguments.ts";
import { unusedMessage, unusedOptions } from "../config/internal.ts";
import { BatchCamError } from "../errors.ts";
import { type Registry, registryOf } from "../registry.ts";
import type { Dataset, DatasetLoader, DatasetOptions } from "./dataset.ts";
import { DATASETS, type DatasetDescription } from "./description.ts";
import { LOADERS } from "./loaders.ts";
import { DECOY_VARIANTS } from "./sources/decoy.ts";
import { ownDataset } from "./sources/own-dataset.ts";
import { coverageWarnings } from "./splits/class-coverage.ts";

/** An entry of the registry of data sets: its description and its loader. */
export interface NamedDataset extends DatasetDescription {
  readonly load: DatasetLoader;
}

const KNOWN: Registry<NamedDataset> = registryOf(DATASETS.map((set) => ({ ...set, load: LOADERS[set.name] })));

const OPTIONS = [
  ...(["dataDir", "decoyVariant", "seed", "imageSize", "imageChannels", "imageFit", "testFraction"] as const),
  ...(["badImages", "followLinks", "earlier", "draw", "signal"] as const),
] as const;

/**
 * Loads a data set. Each split has one uint8 image tensor (N, C, H, W) and one int64 label tensor (N). The caller frees
 * them with `disposeDataset`.
 *
 * @param name one of `DATASETS`
 * @throws E_CONFIG for an unknown name, with the nearest known one, and for options that the data set does not use;
 *   E_DATA for missing or damaged files
 */
export async function loadDataset(name: string, options: DatasetOptions = {}): Promise<Dataset> {
  return loadDatasetOf(KNOWN, name, optionsOf("loadDataset", options, OPTIONS));
}

/** `loadDataset` with the data sets of any registry. */
export async function loadDatasetOf(
  sets: Registry<NamedDataset>,
  name: string,
  options: DatasetOptions = {},
): Promise<Dataset> {
  const set = sets.find(name);
  if (set === undefined) {
    const known = sets.names.map((each) => `"${each}"`).join(", ");
    const got = `${describeValue(name)}${sets.hint(name)}`;
    throw new BatchCamError("E_CONFIG", `loadDataset: name must be one of ${known}, got ${got}`);
  }
  expectUsed(sets, name, options);
  const { dataDir, decoyVariant, seed, imageSize, testFraction } = options;
  if (dataDir !== undefined) expectPath("loadDataset: dataDir", dataDir);
  if (seed !== undefined) expectInteger("loadDataset: seed", seed, 0);
  if (decoyVariant !== undefined && !DECOY_VARIANTS.includes(decoyVariant))
    throw wrongArgument("loadDataset: decoyVariant", '"rrr" or "cdep"', decoyVariant);
  expectSignal("loadDataset: signal", options.signal);
  if (imageSize !== undefined) expectInteger("loadDataset: imageSize", imageSize, 4, 1024);
  if (testFraction !== undefined)
    expectNumber("loadDataset: testFraction", testFraction, "be between 0 and 1", (n) => n > 0 && n < 1);
  try {
    return withCoverage(await set.load(options));
  } catch (error) {
    const unread = error instanceof BatchCamError && error.code === "E_DATA";
    if (!unread || dataDir === undefined || set.own) throw error;
    throw withOwnData(error, dataDir);
  }
}

/** If `dataDir` contains a user's own data, adds to the error which data set can load it. */
function withOwnData(error: BatchCamError, dataDir: string): BatchCamError {
  const own = ownDataset(dataDir);
  if (own === undefined) return error;
  const message = `${error.message}. ${dataDir} ${own.holds}: to load that, give { dataset: "${own.name}" }`;
  return new BatchCamError("E_DATA", message, { cause: error });
}

/** Refuses an option that the data set would ignore, because it is probably a mistake. */
function expectUsed({ items }: Registry<NamedDataset>, name: string, { seed, ...given }: DatasetOptions): void {
  const [unused] = unusedOptions(name, { ...given, dataSeed: seed }, items);
  if (unused === undefined) return;
  const option = unused === "dataSeed" ? "seed" : unused;
  throw new BatchCamError("E_CONFIG", `loadDataset: ${unusedMessage(unused, name, { as: option, datasets: items })}`);
}

function withCoverage(dataset: Dataset): Dataset {
  const warnings = [...(dataset.warnings ?? []), ...coverageWarnings([dataset.val, dataset.test])];
  return warnings.length === 0 ? dataset : { ...dataset, warnings };
}
