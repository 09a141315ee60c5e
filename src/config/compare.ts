import { z } from "zod";
import { DISTANCES } from "../losses/description.ts";
import { namesOf } from "./features.ts";
import { count, group, path, runName } from "./fields.ts";
import type { TrainConfig } from "./train-fields.ts";
import { trainFields } from "./train-fields.ts";

export const OBJECTIVE_NAMES = ["plain", "prototype", "batch-cam", "both"] as const;
export type ObjectiveName = (typeof OBJECTIVE_NAMES)[number];
const METHOD_KINDS = ["plain", "guided", "baseline", "reference", "control"] as const;

/** A list in a file; on the command line the same, separated by commas. What it holds is checked item by item. */
const list = () => z.union([z.string(), z.array(z.unknown())]);
const numbers = () => z.union([z.number(), z.string(), z.array(z.unknown())]);

const rows = group("Grid", {
  grid: path().optional().describe("YAML or JSON file of a grid, with any of these options; flags win over it"),
  preset: z.string().optional().describe("a grid that comes with the package, in place of a file"),
  name: runName().optional().describe("name of the results folder (default: that of the grid's file, or grid)"),
  base: z.record(z.string(), z.unknown()).default({}).describe("train options of every run"),
  set: z
    .array(z.string())
    .default([])
    .describe("a train option of every run, as epochs=2; may be given many times")
    .meta({ repeat: true }),
  models: list()
    .default("simple-cnn")
    .describe("models, separated by commas; in a file each may have a name and train options of its own"),
  datasets: list().default("mnist").describe("data sets, as the models"),
  methods: z.array(z.unknown()).optional().describe("ways to train, each with a name and train options"),
  objectives: list()
    .optional()
    .describe("in place of methods: plain, prototype, batch-cam, both (default: plain,prototype)"),
  distances: list()
    .optional()
    .describe(
      `${namesOf(DISTANCES).join(", ")}: each objective but plain with each of them (default: ${DISTANCES[0].name})`,
    ),
  lambdas: numbers()
    .optional()
    .describe("weights of the objective's losses, each with each distance (default: the distance's own)"),
  seeds: numbers().default(3).describe("how many seeds, from 0; or a list of them"),
  explanations: z
    .int()
    .nonnegative()
    .default(200)
    .describe("test images for the faithfulness metrics of each run; 0 for none"),
  report: z
    .boolean()
    .default(true)
    .describe("write report.html with its figures and tables, and runs.csv, where all runs have ended"),
});

const run = group("Run", {
  output: path().default("runs/compare").describe("folder that holds the results folders"),
  jobs: count().default(1).describe("runs at the same time, each a process of its own"),
  threads: count()
    .optional()
    .describe(
      "threads of each run (default: what the grid's earlier runs took, else the physical cores over the jobs)",
    ),
  shard: z
    .string()
    .refine(isShard, 'a share i/n with i from 1 to n, such as "2/3"')
    .optional()
    .describe("run only the i-th of n shares of the grid, as 2/3; results of all shares may be copied together"),
  list: z.boolean().default(false).describe("print the grid's runs and how far each is, and run nothing"),
  keepFailed: z.boolean().default(false).describe("do not try runs again that failed in an earlier call"),
  keepRuns: z.boolean().default(false).describe("keep the run directories, with their weights"),
});

/** What `batch-cam compare` takes, and what a grid's file holds. */
export const CompareConfig = z.strictObject({ ...rows, ...run });
export type CompareConfigInput = z.input<typeof CompareConfig>;
export type CompareConfig = z.output<typeof CompareConfig>;

function isShard(text: string): boolean {
  const [, part, of] = text.match(/^(\d{1,6})\/(\d{1,6})$/) ?? [];
  return part !== undefined && Number(part) >= 1 && Number(part) <= Number(of);
}

/** Train options that no row of a grid may have, and why. */
export const NO_OPTION_OF_A_ROW: Readonly<Record<string, string>> = {
  seed: "it comes from the grid's seeds",
  threads: "it is one for the whole grid: give threads beside models",
  ...because("each run of a grid has a folder of its own", ["output", "experiment"]),
  ...because("a grid goes on by itself where it stopped", ["resume", "acceptNewData", "overwrite"]),
  ...because("a grid only keeps numbers of its runs", ["figures", "profile", "profileSteps", "logEvery"]),
  ...because("a grid is tried out with small limits, such as limitTrain", ["fastDevRun"]),
};

function because(reason: string, keys: (keyof TrainConfig)[]): Record<string, string> {
  return Object.fromEntries(keys.map((key) => [key, reason]));
}

const { model, dataset, ...others } = trainFields;
const shared: Record<string, z.ZodType> = Object.fromEntries(
  Object.entries(others).filter(([key]) => !Object.hasOwn(NO_OPTION_OF_A_ROW, key)),
);
const label = () => z.string().regex(/^(?=\S)\P{C}{1,80}(?<=\S)$/u, "a name of at most 80 characters on one line");

/** What the rows of a grid may hold, by list. Their options are train options, which a run checks together. */
export const GridRows = {
  base: z.strictObject(shared),
  models: z.strictObject({ name: label(), model, ...shared }),
  datasets: z.strictObject({ name: label(), dataset, ...shared }),
  methods: z.strictObject({
    name: label(),
    kind: z.enum(METHOD_KINDS).optional(),
    datasets: list().optional(), // the rows with which it is crossed, where it is not all
    ...shared,
  }),
};
