import { parseTrainConfig } from "../../config/index.ts";
import { resultConfig } from "../../config/internal.ts";
import type { GridRun } from "./records.ts";

/** An option with its value as text. */
export type Setting = readonly [option: string, value: string];

/** The options that the runs of a grid were trained with: those they share, and those of each row. */
export interface GridSettings {
  /** Options of all runs: those that are not the default, and a few that every reader asks for. */
  common: Setting[];
  rows: SettingsRow[];
}

export interface SettingsRow {
  /** The list of the grid that the row is in, or "run" for options that no row decides by itself. */
  of: "model" | "dataset" | "method" | "run";
  name: string;
  settings: Setting[];
}

const ALWAYS = [
  ...["epochs", "batchSize", "opt", "lr", "weightDecay", "sched", "limitTrain", "limitTest"],
  ...["distance", "lambdaPrototype", "lambdaBatch"],
];
/** Options that the names of the rows already state, or that differ in every run. */
const SAID: ReadonlySet<string> = new Set(["model", "dataset", "seed", "dataDir"]);
const DIMENSIONS = ["method", "model", "dataset"] as const;
const DEFAULTS = resultConfig(parseTrainConfig({}));

/** The settings of a grid's runs, each option with the row that decides it. */
export function settingsOf(runs: readonly GridRun[]): GridSettings {
  const configs = new Map(runs.map((run) => [run, resultConfig(run.config)]));
  const value = (run: GridRun, option: string): unknown => configs.get(run)?.[option];
  const distinct = (list: readonly GridRun[], option: string) =>
    new Set(list.map((run) => written(value(run, option))));
  const options = [...new Set([...configs.values()].flatMap(Object.keys))].filter((option) => !SAID.has(option));
  const shared = options.filter((option) => distinct(runs, option).size === 1);
  const common = shared
    .filter((option) => ALWAYS.includes(option) || runs.some((run) => value(run, option) !== DEFAULTS[option]))
    .map((option): Setting => [option, written(value(runs[0] as GridRun, option))]);
  const rows = new Map<string, SettingsRow>();
  for (const option of options.filter((one) => !shared.includes(one))) {
    const of = DIMENSIONS.find((dimension) =>
      [...groupedBy(runs, (run) => run[dimension]).values()].every((list) => distinct(list, option).size === 1),
    );
    const nameOf = (run: GridRun) => (of === undefined ? runName(run) : run[of]);
    for (const [name, [first]] of groupedBy(runs, nameOf)) {
      const [found, key] = [value(first as GridRun, option), JSON.stringify([of, name])];
      if (found === undefined || (found === DEFAULTS[option] && !ALWAYS.includes(option) && of !== undefined)) continue;
      const row = rows.get(key) ?? { of: of ?? "run", name, settings: [] };
      rows.set(key, { ...row, settings: [...row.settings, [option, written(found)]] });
    }
  }
  const place = ({ of }: SettingsRow) => ["model", "dataset", "method", "run"].indexOf(of);
  return { common: inOrder(common), rows: [...rows.values()].sort((a, b) => place(a) - place(b)) };
}

const runName = ({ model, dataset, method }: GridRun): string => `${model}, ${dataset}, ${method}`;

const inOrder = (settings: Setting[]): Setting[] => {
  const place = ([option]: Setting) => (ALWAYS.includes(option) ? ALWAYS.indexOf(option) : ALWAYS.length);
  return settings.sort((a, b) => place(a) - place(b));
};

const written = (value: unknown): string => (typeof value === "string" ? value : (JSON.stringify(value) ?? "unset"));

function groupedBy(runs: readonly GridRun[], key: (run: GridRun) => string): Map<string, GridRun[]> {
  const groups = new Map<string, GridRun[]>();
  for (const run of runs) groups.set(key(run), [...(groups.get(key(run)) ?? []), run]);
  return groups;
}
