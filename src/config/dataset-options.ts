import type { z } from "zod";
import { DATASETS, type DatasetDescription } from "../data/description.ts";
import { BatchCamError } from "../errors.ts";
import { inWords } from "../registry.ts";
import { dataFields } from "./data-fields.ts";
import { ownersOf } from "./features.ts";

/** The data sets that an option is for; an option that is not here is for all of them. */
const DATASETS_OF = ownersOf(DATASETS);

type OptionsOf<Set> = Set extends { options: infer Options } ? keyof Options : never;
export type DatasetOption = OptionsOf<(typeof DATASETS)[number]>;

/** Every option that only some data sets use. */
export const DATASET_OPTIONS = [...DATASETS_OF.keys()] as DatasetOption[];

/** Whether a data set uses an option. */
export function usesOption(dataset: string, option: DatasetOption): boolean {
  return DATASETS_OF.get(option)?.includes(dataset) ?? false;
}

/** The options among the keys of `given` that have a value, and that the data set does not use although others do. */
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
 * Fails for a config whose data set would ignore one of its options. Defaults were filled in, so that an option counts as given if it is not
 * the default. A resumed run is not checked: earlier versions let such options into its config.json.
 */
export function expectUsedOptions(config: { dataset: string }): void {
  const values = config as Readonly<Record<string, unknown>>;
  const fields: Readonly<Record<string, z.ZodType>> = dataFields;
  const unused = unusedOptions(config.dataset, config).find((key) => values[key] !== fields[key]?.parse(undefined));
  if (unused !== undefined) throw new BatchCamError("E_CONFIG", `train: ${unusedMessage(unused, config.dataset)}`);
}

/** "imageSize is for the data sets folder and csv, and mnist does not heed it: leave it out" */
export function unusedMessage(
  option: string,
  dataset: string,
  { as = option, datasets = DATASETS }: { as?: string; datasets?: readonly DatasetDescription[] } = {},
): string {
  const owners = ownersOf(datasets).get(option) ?? [];
  return `${as} is for the data sets ${inWords(owners)}, and ${dataset} does not heed it: leave it out`;
}
