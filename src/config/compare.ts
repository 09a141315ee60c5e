import { z } from "zod";
import { DISTANCES } from "../losses/description.ts";
import { namesOf } from "./features.ts";
import { count, group, path, runName } from "./fields.ts";
import type { TrainConfig } from "./train-fields.ts";
import { trainFields } from "./train-fields.ts";

export const OBJECTIVE_NAMES = ["plain", "prototype", "batch-cam", "both"] as const;
export type ObjectiveName = (typeof OBJECTIVE_NAMES)[number];
const METHOD_KINDS = ["plain", "guided", "baseline", "reference", "control"] as const;

/** A list in a file, or text with commas on the command line. Its items are checked one by one later. */
const list = () => z.union([z.string(), z.array(z.unknown())]);
const numbers = () => z.union([z.number(), z.string(), z.array(z.unknown())]);

const rows = group("Grid", {
  grid: path()
    .optional()
    .describe("YAML or JSON file that describes a grid, with any of these options; a flag overrides the file's value"),
  preset: z.string().optional().describe("use a grid that comes with the package instead of a file"),
  name: runName()
    .optional()
    .describe("name of the results folder (default: the name of the grid's file without its extension, or grid)"),
  base: z.record(z.string(), z.unknown()).default({}).describe("train options that apply to every run"),
  set: z
    .array(z.string())
    .default([])
    .describe("a train option that applies to every run, such as epochs=2; may be given several times")
    .meta({ repeat: true }),
  models: list()
    .default("simple-cnn")
    .describe("models, separated by commas; in a file, each may also have a name and its own train options"),
  datasets: list()
    .default("mnist")
    .describe("data sets, separated by commas; in a file, each may also have a name and its own train options"),
  methods: z.array(z.unknown()).optional().describe("training methods, each with a name and train options"),
  objectives: list()
    .optional()
    .describe(
      "losses to train with, separated by commas: plain (none on the maps), prototype (Prototype Loss), batch-cam (Batch-CAM Loss) or both; use either objectives or methods (default: plain,prototype)",
    ),
  distances: list()
    .optional()
    .describe(
      `distances, separated by commas (${namesOf(DISTANCES).join(", ")}); every objective except plain runs with each of them (default: ${DISTANCES[0].name})`,
    ),
  lambdas: numbers()
    .optional()
    .describe(
      "weights of the objective's losses; every distance runs with each of them (default: the distance's default weight)",
    ),
  seeds: numbers().default(3).describe("number of seeds, counted from 0, or a list of seeds separated by commas"),
  explanations: z
    .int()
    .nonnegative()
    .default(200)
    .describe("number of test images on which each run's faithfulness metrics are computed; 0 skips them"),
  report: z
    .boolean()
    .default(true)
    .describe("write report.html with its figures and tables, and runs.csv, when all runs have ended"),
});

const run = group("Run", {
  output: path().default("runs/compare").describe("folder in which the results folder is created"),
  jobs: count().default(1).describe("number of runs to train at the same time, each in its own process"),
  threads: count()
    .optional()
    .describe(
      "threads of each run (default: as many as the grid's earlier runs used, or the physical cores divided by the number of jobs)",
    ),
  shard: z
    .string()
    .refine(isShard, 'a share i/n with i from 1 to n, such as "2/3"')
    .optional()
    .describe(
      "train only the i-th of n shares of the grid, such as 2/3; the results of all shares can then be copied into one folder",
    ),
  list: z.boolean().default(false).describe("print the grid's runs and the state of each, and train nothing"),
  keepFailed: z.boolean().default(false).describe("do not retry runs that failed in an earlier call"),
  keepRuns: z.boolean().default(false).describe("keep the run directories with their weights, not only their results"),
});

/** The options of `batch-cam compare`, and the contents of a grid's file. */
export const CompareConfig = z.strictObject({ ...rows, ...run });
export type CompareConfigInput = z.input<typeof CompareConfig>;
export type CompareConfig = z.output<typeof CompareConfig>;

function isShard(text: string): boolean {
  const [, part, of] = text.match(/^(\d{1,6})\/(\d{1,6})$/) ?? [];
  return part !== undefined && Number(part) >= 1 && Number(part) <= Number(of);
}

/** Train options that a row of a grid must not have, and the reasons. */
export const NO_OPTION_OF_A_ROW: Readonly<Record<string, string>> = {
  seed: "it comes from the grid's seeds",
  threads: "it is the same for the whole grid: set threads at the top level, next to models",
  ...because("each run of a grid has its own folder", ["output", "experiment"]),
  ...because("a grid always continues where it stopped", ["resume", "acceptNewData", "overwrite"]),
  ...because("a grid only keeps the results of its runs", ["figures", "profile", "profileSteps", "logEvery"]),
  ...because("to try a grid out, use small limits such as limitTrain", ["fastDevRun"]),
};

function because(reason: string, keys: (keyof TrainConfig)[]): Record<string, string> {
  return Object.fromEntries(keys.map((key) => [key, reason]));
}

const { model, dataset, ...others } = trainFields;
const shared: Record<string, z.ZodType> = Object.fromEntries(
  Object.entries(others).filter(([key]) => !Object.hasOwn(NO_OPTION_OF_A_ROW, key)),
);
const label = () => z.string().regex(/^(?=\S)\P{C}{1,80}(?<=\S)$/u, "a name of at most 80 characters on one line");

/** The schemas of a grid's rows, by list. Their options are train options, which are checked together for each run. */
export const GridRows = {
  base: z.strictObject(shared),
  models: z.strictObject({ name: label(), model, ...shared }),
  datasets: z.strictObject({ name: label(), dataset, ...shared }),
  methods: z.strictObject({
    name: label(),
    kind: z.enum(METHOD_KINDS).optional(),
    datasets: list().optional(), // the data sets that it is combined with (default: all)
    ...shared,
  }),
};
