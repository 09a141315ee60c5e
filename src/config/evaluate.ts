import { z } from "zod";
import { count, device, path, runDataFields } from "./fields.ts";

/** What `batch-cam evaluate` takes. */
export const EvaluateConfig = z.strictObject({
  run: path().describe("run directory, or a checkpoint in it"),
  ...runDataFields(),
  split: z.enum(["test", "val"]).default("test").describe("images that are judged"),
  method: z.string().default("GradCAM").describe("one or several methods whose maps are judged, separated by commas"),
  target: z.enum(["label", "prediction"]).default("label").describe("class that the maps explain"),
  limit: count()
    .default(1000)
    .describe("images for the metrics of explanations, of all classes; accuracy takes the whole split"),
  steps: count().default(20).describe("steps of insertion and deletion"),
  randomise: z.boolean().default(true).describe("run the parameter-randomisation sanity check"),
  seed: z.int().nonnegative().default(0).describe("seed of noise, perturbations and random weights"),
  batchSize: count().default(250).describe("images at a time").meta({ short: "b" }),
  json: z.boolean().default(false).describe("print the record as JSON"),
  device: device(),
  threads: count().optional().describe("threads of the engine (default: the physical cores this process may use)"),
});
export type EvaluateConfig = z.output<typeof EvaluateConfig>;
