import { z } from "zod";
import { count, device, path, runDataFields } from "./fields.ts";

/** The options of `batch-cam evaluate`. */
export const EvaluateConfig = z.strictObject({
  run: path().describe("run directory, or a checkpoint in it"),
  ...runDataFields(),
  split: z.enum(["test", "val"]).default("test").describe("images that the model is evaluated on"),
  method: z
    .string()
    .default("GradCAM")
    .describe("one or several methods whose maps are evaluated, separated by commas"),
  target: z.enum(["label", "prediction"]).default("label").describe("class that the maps explain"),
  limit: count()
    .default(1000)
    .describe("number of images for the metrics of explanations, from all classes; the accuracy uses the whole split"),
  steps: count().default(20).describe("steps of insertion and deletion"),
  randomise: z.boolean().default(true).describe("run the parameter-randomisation sanity check"),
  seed: z.int().nonnegative().default(0).describe("seed of noise, perturbations and random weights"),
  batchSize: count().default(250).describe("images in a batch").meta({ short: "b" }),
  json: z.boolean().default(false).describe("print the record as JSON"),
  device: device(),
  threads: count().optional().describe("threads of the engine (default: the physical cores this process may use)"),
});
export type EvaluateConfig = z.output<typeof EvaluateConfig>;
