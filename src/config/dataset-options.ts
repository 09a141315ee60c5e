import { BatchCamError } from "../errors.ts";
import { type DatasetName, dataFields } from "./data-fields.ts";

const FILES: readonly DatasetName[] = ["folder", "csv"];
const DECOYS: readonly DatasetName[] = ["decoy-mnist", "decoy-fashion-mnist"];

/** The data sets that an option is for; an option that is not here is for all of them. */
const DATASETS_OF = {
  imageSize: FILES,
  imageChannels: FILES,
  imageFit: FILES,
  testFraction: FILES,
  badImages: FILES,
  followLinks: FILES,
  decoyVariant: DECOYS,
  dataSeed: [...FILES, ...DECOYS, "color-mnist"], // color-mnist draws the colours of its evaluation
} as const satisfies Partial<Record<keyof typeof dataFields, readonly DatasetName[]>>;

export type DatasetOption = keyof typeof DATASETS_OF;
const OPTIONS = Object.keys(DATASETS_OF) as DatasetOption[];

/** Whether a data set heeds an option. */
export function usesOption(dataset: string, option: DatasetOption): boolean {
  return (DATASETS_OF[option] as readonly string[]).includes(dataset);
}

/** The options among the keys of `given` that have a value and that the data set does not heed. */
export function unusedOptions(dataset: string, given: object): DatasetOption[] {
  const values = given as Readonly<Record<string, unknown>>;
  return OPTIONS.filter((option) => values[option] !== undefined && !usesOption(dataset, option));
}

/**
 * Fails for a config whose data set would ignore one of its options. Defaults were filled in, so that an option counts as given if it is not
 * the default. A run that goes on is not asked: earlier versions let such options into its config.json.
 */
export function expectUsedOptions(config: { dataset: string }): void {
  const values = config as Readonly<Record<string, unknown>>;
  const given = unusedOptions(config.dataset, config);
  const unused = given.find((option) => values[option] !== dataFields[option].parse(undefined));
  if (unused !== undefined) throw new BatchCamError("E_CONFIG", `train: ${unusedMessage(unused, config.dataset)}`);
}

/** "imageSize is for the data sets folder and csv, and mnist does not heed it: leave it out" */
export function unusedMessage(option: DatasetOption, dataset: string, name: string = option): string {
  return `${name} is for the data sets ${datasetsOf(option)}, and ${dataset} does not heed it: leave it out`;
}

/** Which data sets an option is for, in words. */
const datasetsOf = (option: DatasetOption): string => {
  const names = DATASETS_OF[option];
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
};
