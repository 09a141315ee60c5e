import { describeValue } from "../../arguments.ts";
import { type CompareConfig, DATASET_NAMES, MODEL_NAMES, type TrainConfigInput } from "../../config/index.ts";
import {
  defaultLambda,
  GridRows,
  hint,
  NO_OPTION_OF_A_ROW,
  OBJECTIVE_NAMES,
  type ObjectiveName,
  OWN_DATA,
  parseConfig,
} from "../../config/internal.ts";
import { DISTANCES, type DistanceName } from "../../losses/description.ts";
import { exportedName, isExportedPath } from "../../models/internal.ts";
import { gridFault, knownNames, numbersOf, rowsOf, seedsOf, unlike } from "./grid-lists.ts";
import type { MethodKind } from "./records.ts";

/** A model, a data set or a method of a grid: its name, and the train options that it sets. */
export interface GridRow {
  name: string;
  options: TrainConfigInput;
}

export interface MethodRow extends GridRow {
  /** The kind of a method (default: the kind that follows from the options). */
  kind?: MethodKind | undefined;
  /** Names of the data sets that the method is combined with; all of them by default. */
  datasets?: string[] | undefined;
}

/** A grid after its file and flags were merged, with every row checked by itself. */
export interface Grid {
  name: string;
  base: TrainConfigInput;
  models: GridRow[];
  datasets: GridRow[];
  methods: MethodRow[];
  seeds: number[];
  explanations: number;
  report: boolean;
}

/**
 * Checks a grid's file and flags.
 * @throws E_CONFIG that names the row, the key, what was expected and what came
 */
export function readGrid(config: CompareConfig): Grid {
  const { name = "grid", explanations, report } = config;
  const datasets = named("datasets", rowsOf("datasets", config.datasets).map(datasetRow));
  const grid = {
    name,
    base: optionsOf("base", config.base, "base"),
    models: named("models", rowsOf("models", config.models).map(modelRow)),
    datasets,
    methods: named("methods", methodsOf(config, { datasets: datasets.map((row) => row.name) })),
    seeds: seedsOf(config.seeds),
    explanations,
    report,
  };
  expectPlaces(grid);
  return grid;
}

/** Throws if a data set of the user's own images has no path, before other runs have taken hours. */
function expectPlaces({ base, models, datasets, methods }: Grid): void {
  const isPlaced = [base, ...[...models, ...methods].map(({ options }) => options)].some(
    ({ dataDir }) => dataDir !== undefined,
  );
  const lost = datasets.find(
    ({ options: { dataset = "", dataDir } }) => OWN_DATA.has(dataset) && dataDir === undefined,
  );
  if (isPlaced || lost === undefined) return;
  throw gridFault(
    `datasets, "${lost.name}": dataDir is missing: give the location of the images with --set data-dir=PATH, or in the row of a grid's file`,
  );
}

/** The content of `grid.yaml` in the results folder, which describes the same grid. */
export function gridFile(grid: Grid): Record<string, unknown> {
  const rows = (list: readonly MethodRow[]) => list.map(({ options, ...row }) => ({ ...row, ...options }));
  const { models, datasets, methods, ...rest } = grid;
  return { ...rest, models: rows(models), datasets: rows(datasets), methods: rows(methods) };
}

interface PlacedRow {
  what: string;
  row: unknown;
}

function modelRow({ what, row }: PlacedRow): GridRow {
  const { name, ...options } = entry(what, row, "models");
  const asked = options.model ?? name;
  const model = isExportedPath(asked) ? asked : knownAs("model", asked, { what, known: MODEL_NAMES });
  return { name, options: { ...options, model } };
}

function datasetRow({ what, row }: PlacedRow): GridRow {
  const { name, ...options } = entry(what, row, "datasets");
  const dataset = knownAs("dataset", options.dataset ?? name, { what, known: DATASET_NAMES });
  return { name, options: { ...options, dataset } };
}

function methodRow({ what, row }: PlacedRow, known: { datasets: readonly string[] }): MethodRow {
  const { name, kind, datasets, ...options } = entry(what, row, "methods");
  const only = datasets === undefined ? {} : { datasets: knownNames(`${what}: datasets`, datasets, known.datasets) };
  return { name, ...(kind === undefined ? {} : { kind }), ...only, options };
}

type Entry = { name: string; kind?: MethodKind; datasets?: string | unknown[] } & TrainConfigInput;

/** A row as an object. A row that is only a text is a name. */
function entry(what: string, row: unknown, list: "models" | "datasets" | "methods"): Entry {
  const given = typeof row === "string" && list !== "methods" ? namedRow(row, list) : row;
  const label = (given as { name?: unknown } | null)?.name;
  return optionsOf(typeof label === "string" ? `${what} (${describeValue(label)})` : what, given, list) as Entry;
}

/** A row that is only a text: a name, or the path of an exported model, which is named by its file. */
function namedRow(text: string, list: "models" | "datasets"): object {
  return list === "models" && isExportedPath(text) ? { name: exportedName(text), model: text } : { name: text };
}

/** The options of a row, each valid by itself. */
function optionsOf(what: string, row: unknown, list: keyof typeof GridRows): TrainConfigInput {
  if (typeof row !== "object" || row === null || Array.isArray(row))
    throw gridFault(`${what} must be train options with a name, got ${describeValue(row)}`);
  for (const key of Object.keys(row)) {
    const elsewhere = key === "model" || key === "dataset" ? `${key}s` : list;
    if (elsewhere !== list) throw gridFault(`${what}: ${key} cannot be set there: it belongs to ${elsewhere}`);
    if (Object.hasOwn(NO_OPTION_OF_A_ROW, key))
      throw gridFault(`${what}: ${key} cannot be set there: ${NO_OPTION_OF_A_ROW[key]}`);
  }
  parseConfig(GridRows[list], row, { what: `compare: ${what}` });
  return row as TrainConfigInput;
}

/** The known name that a row chooses: by its own key, or by the row's name. */
function knownAs<T extends string>(
  key: "model" | "dataset",
  value: string,
  { what, known }: { what: string; known: readonly T[] },
): T {
  if (known.includes(value as T)) return value as T;
  const choices = `one of ${known.map(describeValue).join(", ")}`;
  throw gridFault(
    `${what}: its name must be a ${key}, ${choices}, or ${key} must be given too, got ${describeValue(value)}${hint(value, known)}`,
  );
}

function named<T extends GridRow>(list: string, rows: T[]): T[] {
  unlike(
    list,
    rows.map(({ name }) => name),
  );
  return rows;
}

function methodsOf(
  { methods, objectives, distances, lambdas }: CompareConfig,
  known: { datasets: readonly string[] },
): MethodRow[] {
  if (methods === undefined) return crossed({ objectives, distances, lambdas });
  const beside = Object.entries({ objectives, distances, lambdas }).find(([, value]) => value !== undefined)?.[0];
  if (beside !== undefined)
    throw gridFault(`${beside} must be left out with methods: each row of methods defines by itself how it trains`);
  return rowsOf("methods", methods).map((row) => methodRow(row, known));
}

const DISTANCE_NAMES = DISTANCES.map(({ name }) => name);
const WEIGHT = { holds: (value: number) => Number.isFinite(value) && value > 0, rule: "numbers above 0" };

/** Combines each objective with each distance and weight. Plain training has neither. */
function crossed(config: Pick<CompareConfig, "objectives" | "distances" | "lambdas">): MethodRow[] {
  const objectives = knownNames("objectives", config.objectives ?? ["plain", "prototype"], OBJECTIVE_NAMES);
  const distances = knownNames("distances", config.distances ?? [DISTANCES[0].name], DISTANCE_NAMES);
  const lambdas = config.lambdas === undefined ? [undefined] : numbersOf("lambdas", config.lambdas, WEIGHT);
  return objectives.flatMap((objective) => {
    if (objective === "plain") return [{ name: "plain", kind: "plain", options: { plain: true } }];
    return distances.flatMap((distance) => lambdas.map((lambda) => guided(objective, distance, lambda)));
  });
}

function guided(
  objective: Exclude<ObjectiveName, "plain">,
  distance: DistanceName,
  lambda: number | undefined,
): MethodRow {
  const weight = lambda ?? defaultLambda(distance);
  const lambdaPrototype = objective === "batch-cam" ? 0 : weight;
  const lambdaBatch = objective === "prototype" ? 0 : weight;
  const name = [objective, distance, ...(lambda === undefined ? [] : [lambda])].join(" ");
  return { name, kind: "guided", options: { distance, lambdaPrototype, lambdaBatch } };
}
