import type { z } from "zod";
import { DATASETS, type DatasetDescription } from "../data/description.ts";
import { BatchCamError } from "../errors.ts";
import { inWords } from "../registry.ts";
import { dataFields } from "./data-fields.ts";
import { ownersOf } from "./features.ts";
import { GIVEN } from "./given.ts";

/** The data sets that each option is for. An option that is not listed is for all of them. */
const DATASETS_OF = ownersOf(DATASETS);

type OptionsOf<Set> = Set extends { options: infer Options } ? keyof Options : never;
export type DatasetOption = OptionsOf<(typeof DATASETS)[number]>;

/** The options that only some data sets use. */
export const DATASET_OPTIONS = [...DATASETS_OF.keys()] as DatasetOption[];

/** Whether a data set uses an option. */
export function usesOption(dataset: string, option: DatasetOption): boolean {
  return DATASETS_OF.get(option)?.includes(dataset) ?? false;
}

/** The options in `given` that have a value, but are only used by other data sets. */
export function unusedOptions(
  dataset: string,
  given: object,
  datasets: readonly DatasetDescription[] = DATASETS,
): string[] {
  const values = given as Readonly<Record<string, unknown>>;
  const unused = [...ownersOf(datasets)].filter(
    ([option, owners]) => values[option] !== undefined && !owners.includes(dataset),
  );
  return unused.map(([option]) => option);
}

/**
 * Throws E_CONFIG if the data set of a config would ignore one of its options. Defaults have been filled in already, so
 * an option counts as given if it differs from its default. A resumed run is not checked, because earlier versions
 * accepted such options in its config.json.
 */
export function expectUsedOptions(config: { dataset: string }): void {
  const values = config as Readonly<Record<string, unknown>>;
  const fields: Readonly<Record<string, z.ZodType>> = dataFields;
  const unused = unusedOptions(config.dataset, config).find((key) => values[key] !== fields[key]?.parse(undefined));
  if (unused !== undefined) throw new BatchCamError("E_CONFIG", `train: ${unusedMessage(unused, config.dataset)}`);
}

/** A message such as "imageSize is for the data sets folder and csv, and mnist does not use it: leave it out". */
export function unusedMessage(
  option: string,
  dataset: string,
  { as = option, datasets = DATASETS }: { as?: string; datasets?: readonly DatasetDescription[] } = {},
): string {
  const owners = ownersOf(datasets).get(option) ?? [];
  const why = dataset === GIVEN ? "the images were given" : `${dataset} does not use it`;
  return `${as} is for the data sets ${inWords(owners)}, and ${why}: leave it out`;
}
