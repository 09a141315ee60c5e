import { createHash } from "node:crypto";
import { overrideTrainConfig, parseTrainConfig, type TrainConfig, type TrainConfigInput } from "../../config/index.ts";
import { EARLIER_VALUES, resultConfig } from "../../config/internal.ts";
import { counted } from "../../counted.ts";
import { DATASETS } from "../../data/description.ts";
import { baselineNeeds } from "../../losses/internal.ts";
import { type DataDigests, dataKey, modelKey } from "./data-digests.ts";
import type { Grid, GridRow, MethodRow } from "./grid.ts";
import { gridFault } from "./grid-lists.ts";
import type { GridRun, MethodKind } from "./records.ts";

/** A larger grid is probably a typing mistake, so it is refused. */
const MOST_RUNS = 10_000;

/**
 * The runs of a grid, ordered by seed. Options of a row override `base`: first the model's, then the data set's, then the method's.
 *
 * @param digests digests of the user's own images: runs on the same images are the same run, wherever the images are stored
 * @throws E_CONFIG that names the rows whose options contradict each other or that are the same run
 */
export function runsOf(grid: Grid, digests: DataDigests = new Map()): GridRun[] {
  const { models, datasets, methods, seeds } = grid;
  const count = models.length * datasets.length * methods.length * seeds.length;
  if (count > MOST_RUNS) throw gridFault(`the grid has ${counted(count, "run")}; at most ${MOST_RUNS} are allowed`);
  const runs = seeds.flatMap((seed) =>
    datasets.flatMap((dataset) =>
      models.flatMap((model) =>
        methods
          .filter((method) => method.datasets?.includes(dataset.name) ?? true)
          .map((method) => runOf(grid, { seed, dataset, model, method }, digests)),
      ),
    ),
  );
  refuseTwins(runs);
  return runs;
}

interface Place {
  seed: number;
  dataset: GridRow;
  model: GridRow;
  method: MethodRow;
}

function runOf({ base, explanations }: Grid, { seed, dataset, model, method }: Place, digests: DataDigests): GridRun {
  const rows = { model: model.name, dataset: dataset.name, method: method.name };
  const given = [base, model.options, dataset.options, method.options].reduce(overrideTrainConfig) as TrainConfigInput;
  const config = parseTrainConfig({ ...given, seed }, { what: `compare: ${placeOf(rows)}` });
  expectMasks(config, rows);
  const kind = kindOf(config, method);
  const data = digests.get(dataKey(config) ?? "");
  const file = digests.get(modelKey(config) ?? "");
  return {
    ...{ id: runId(config, explanations, { data, file }), ...rows, kind, seed, config },
    ...(data === undefined ? {} : { data }),
    ...(file === undefined ? {} : { file }),
  };
}

/**
 * Refuses a baseline without the masks it needs before any run starts. Training would refuse it too, but only when it is that run's turn.
 */
function expectMasks({ baseline, dataset }: TrainConfig, rows: Pick<GridRun, "model" | "dataset" | "method">): void {
  if (!baselineNeeds(baseline).masks || DATASETS.find(({ name }) => name === dataset)?.masks !== "never") return;
  throw gridFault(
    `${placeOf(rows)}: baseline ${baseline} needs masks, and ${dataset} has none: name the data sets of that method in its row, such as datasets: [decoy-mnist]`,
  );
}

/** Names the rows of a run in its grid. */
export function placeOf({ model, dataset, method }: Pick<GridRun, "model" | "dataset" | "method">): string {
  return `model "${model}", data set "${dataset}", method "${method}"`;
}

/** The version of the records' format and of their measures. Records of another version count as other runs. */
const MEASURED = 1;
export const DEFAULTS = parseTrainConfig({});

/** The digests of what a run reads from the user's own files. */
type OwnFiles = Pick<GridRun, "data" | "file">;

/**
 * A hash of everything that a run's numbers depend on: the options that are not the default, the digests of the user's own images and of
 * an exported model, and the measures. Names, paths and the order of options have no influence. If the digest of the user's own images is
 * not known, their path is used instead, as in records of versions that had no digests.
 */
export function runId(
  config: TrainConfig,
  explanations: number,
  { data, file = "" }: { [Key in keyof OwnFiles]: OwnFiles[Key] | undefined } = {},
): string {
  const images = data === undefined ? [] : [["data", data]];
  const model = modelKey(config) === null ? [] : [["model file", file]];
  const text = JSON.stringify([MEASURED, explanations, ...nonDefault(withoutPath(config, data)), ...images, ...model]);
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** Leaves out where the images are stored if their digest is known. */
function withoutPath<C extends Partial<TrainConfig>>(config: C, data: string | undefined): C {
  if (data === undefined) return config;
  const { dataDir: _, ...rest } = config;
  return rest as C;
}

/** The options that affect the numbers and differ from their defaults, by name. An option that a later version adds changes no id. */
function nonDefault(config: TrainConfig): [string, unknown][] {
  const defaults = resultConfig(DEFAULTS);
  return Object.entries(resultConfig(config))
    .filter(([key, value]) => value !== defaults[key])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Whether a stored config, of this or an earlier version, describes the same run. A default may have changed since it was written. */
export function isSameRun(kept: Partial<TrainConfig>, config: TrainConfig, data?: string): boolean {
  const whole = { ...DEFAULTS, ...EARLIER_VALUES, ...kept } as TrainConfig;
  return JSON.stringify(nonDefault(withoutPath(whole, data))) === JSON.stringify(nonDefault(withoutPath(config, data)));
}

/** The kind of a method: the kind that its row names, or else the kind that follows from its options. */
function kindOf(config: TrainConfig, { name, kind }: MethodRow): MethodKind {
  const { told, because } = toldKind(config);
  const allowed: MethodKind[] = told === "control" ? ["control", "reference"] : [told, "control"];
  if (kind === undefined || allowed.includes(kind)) return kind ?? told;
  throw gridFault(`method "${name}": kind must be "${allowed.join('" or "')}", got "${kind}": ${because}`);
}

function toldKind({ plain, baseline, prototypes }: TrainConfig): { told: MethodKind; because: string } {
  if (baselineNeeds(baseline).masks)
    return { told: "reference", because: `it trains with ${baseline}, which uses masks` };
  if (baseline !== undefined) return { told: "baseline", because: `it trains with ${baseline}` };
  if (plain) return { told: "plain", because: "it trains without guidance" };
  if (prototypes !== "class") return { told: "control", because: `its prototypes are ${prototypes}` };
  return { told: "guided", because: "its maps are guided" };
}

function refuseTwins(runs: readonly GridRun[]): void {
  const seen = new Map<string, GridRun>();
  for (const run of runs) {
    const twin = seen.get(run.id);
    if (twin !== undefined)
      throw gridFault(`${placeOf(twin)} and ${placeOf(run)} are the same run: leave one of the rows out`);
    seen.set(run.id, run);
  }
}

/** The i-th of n shares, given as "2/3": every n-th run in the order of ids, so that each process computes the same shares. */
export function shareOf(runs: readonly GridRun[], shard: string | undefined): GridRun[] {
  if (shard === undefined) return [...runs];
  const [part, of] = shard.split("/").map(Number) as [number, number];
  const ids = runs.map(({ id }) => id).sort();
  const own = new Set(ids.filter((_, index) => index % of === part - 1));
  return runs.filter(({ id }) => own.has(id));
}
