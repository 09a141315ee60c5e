import { z } from "zod";
import type { MethodDescription } from "../cam/description.ts";
import { CAM_METHODS } from "../cam/description.ts";
import { DATASETS, type DatasetDescription } from "../data/description.ts";
import { BASELINES, type BaselineDescription, DISTANCES, type DistanceDescription } from "../losses/description.ts";
import { MODEL_FAMILIES } from "../models/description.ts";
import type { FamilyDescription } from "../models/family-description.ts";
import { OPTIMIZERS, type OptimizerDescription, SCHEDULES, type ScheduleDescription } from "../optim/description.ts";
import { inWords, type Named } from "../registry.ts";

/** The items that a config can choose by name. Schemas, and with them flags, help and messages, are made from these lists. */
export interface Features {
  readonly models: readonly FamilyDescription[];
  readonly datasets: readonly DatasetDescription[];
  readonly distances: readonly DistanceDescription[];
  readonly baselines: readonly BaselineDescription[];
  readonly optimizers: readonly OptimizerDescription[];
  readonly schedules: readonly ScheduleDescription[];
  readonly methods: readonly MethodDescription[];
}

/** The items that come with the package. */
export const FEATURES = {
  models: MODEL_FAMILIES,
  datasets: DATASETS,
  distances: DISTANCES,
  baselines: BASELINES,
  optimizers: OPTIMIZERS,
  schedules: SCHEDULES,
  methods: CAM_METHODS,
} as const satisfies Features;

/** A field whose value is one of the names. */
export function choiceOf<const Name extends string>(names: readonly Name[]) {
  return z.enum(names as readonly [Name, ...Name[]]);
}

export const namesOf = <const Items extends readonly Named[]>(items: Items): Items[number]["name"][] =>
  items.map(({ name }) => name);

interface Optioned extends Named {
  readonly options: Readonly<Record<string, z.ZodType>>;
}

type KeysOf<Options> = Options extends unknown ? keyof Options : never;
type FieldAt<Options, Key> = Options extends { readonly [K in Key & PropertyKey]: infer Field } ? Field : never;
/** The fields of all members of a union of options. */
type FieldsOf<Options> = { [Key in KeysOf<Options>]: FieldAt<Options, Key> };

/**
 * The options of all items as fields. Each description begins with the names of the items that have the option:
 * "resnet: channels of the first stage". Items with an option in common must share its field.
 */
export function optionFields<const Items extends readonly Optioned[]>(
  items: Items,
): FieldsOf<Items[number]["options"]> {
  const owners = ownersOf(items);
  const fields = [...owners].map(([key, names]) => {
    const [field, ...others] = new Set(items.flatMap(({ options }) => options[key] ?? []));
    if (field === undefined || others.length > 0)
      throw new Error(`${names.join(", ")} have fields of their own for ${key}`);
    return [key, field.describe(`${names.join(", ")}: ${field.description ?? key}`)];
  });
  return Object.fromEntries(fields) as FieldsOf<Items[number]["options"]>;
}

/** For each option, the names of the items that have it. */
export function ownersOf(items: readonly Optioned[]): Map<string, string[]> {
  const owners = new Map<string, string[]>();
  for (const { name, options } of items)
    for (const key of Object.keys(options)) owners.set(key, [...(owners.get(key) ?? []), name]);
  return owners;
}

/** Groups names by value in a phrase such as "0.5 for ssim, 2 for l1 and l2". */
export function byValue(entries: readonly (readonly [name: string, value: number])[]): string {
  const values = new Set(entries.map(([, value]) => value));
  const named = (value: number) => inWords(entries.filter((entry) => entry[1] === value).map(([name]) => name));
  return Array.from(values, (value) => `${value} for ${named(value)}`).join(", ");
}

export const DATASET_NAMES = namesOf(DATASETS);
export const BASELINE_NAMES = namesOf(BASELINES);
export type { DatasetName } from "../data/description.ts";
export { MODEL_NAMES, type ModelName } from "../models/description.ts";
