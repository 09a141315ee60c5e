import { z } from "zod";
import { exportedPath } from "../models/exported/description.ts";
import { dataFields, selectionFields } from "./data-fields.ts";
import { count, device, group, path, runDataFields } from "./fields.ts";

/** The options that name the data of an exported model. A run has them recorded. */
const { dataDir, ...ownData } = dataFields;
const { normalization, mean, std } = selectionFields;
const modelData = { ...ownData, normalization, mean, std };
export const MODEL_DATA_KEYS = Object.keys(modelData) as (keyof typeof modelData)[];

/** The options of `batch-cam evaluate`. */
export const EvaluateConfig = z.strictObject({
  run: path().optional().describe("run directory, or a checkpoint in it"),
  ...group("Exported model", {
    model: exportedPath()
      .optional()
      .describe(
        "evaluate this exported model (.pt2) on a data set instead of a run; its classes are in the data set's order",
      ),
    output: path()
      .optional()
      .describe("with --model: folder in which evaluation.json is saved (default: it is not saved)"),
    camLayer: path().optional().describe("with --model: target layer (default: the one that batch-cam models marks)"),
  }),
  ...modelData,
  ...runDataFields(),
  dataDir: path()
    .optional()
    .describe(
      "with --model: folder with the data set's files, or the CSV or .npz file itself; with a run: where its data are now, if they have moved since training",
    ),
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
