import { z } from "zod";
import { count, device, path, runDataFields } from "./fields.ts";

/** The options of `batch-cam evaluate`. */
export const EvaluateConfig = z.strictObject({
  run: path().describe("run directory, or a checkpoint in it"),
  ...runDataFields(),
  split: z.enum(["test", "val"]).default("test").describe("images to evaluate on"),
  method: z.string().default("GradCAM").describe("CAM methods whose maps are evaluated, separated by commas"),
  target: z
    .enum(["label", "prediction"])
    .default("label")
    .describe("class that the maps explain: the image's label or the model's prediction"),
  limit: count()
    .default(1000)
    .describe(
      "number of images, spread over all classes, for the explanation metrics; accuracy always uses the whole split",
    ),
  steps: count().default(20).describe("number of steps of the insertion and deletion curves"),
  randomise: z
    .boolean()
    .default(true)
    .describe("run the sanity check that compares maps before and after the weights are randomised"),
  seed: z.int().nonnegative().default(0).describe("seed of the noise, the perturbations and the randomised weights"),
  batchSize: count().default(250).describe("images per forward pass").meta({ short: "b" }),
  json: z.boolean().default(false).describe("print the results as JSON"),
  device: device(),
  threads: count().optional().describe("threads of the engine (default: the physical cores this process may use)"),
});
export type EvaluateConfig = z.output<typeof EvaluateConfig>;
