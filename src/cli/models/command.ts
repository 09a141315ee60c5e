import { z } from "zod";
import { MODEL_NAMES } from "../../config/index.ts";
import { exportedPath, isExportedPath } from "../../models/exported/description.ts";
import { defineCommand } from "../command.ts";

const ModelsConfig = z.strictObject({
  imageSize: z.int().positive().default(28).describe("height and width of the images, for multiply-adds and map sizes"),
  inChannels: z.int().positive().default(1).describe("number of image channels"),
  numClasses: z.int().positive().default(10).describe("number of classes"),
  model: z
    .union([z.enum(MODEL_NAMES), exportedPath()])
    .optional()
    .describe("print only this model; of an exported one (.pt2), print its modules that give maps"),
});

export const modelsCommand = defineCommand({
  name: "models",
  summary: "Print the models with their parameters, multiply-adds, and the map size of each stage for an image size.",
  config: ModelsConfig,
  operand: { key: "model", name: "MODEL" },
  async run({ config, stdout }) {
    if (config.model !== undefined && isExportedPath(config.model)) {
      const { exportedTree } = await import("./exported-tree.ts");
      stdout.write(await exportedTree(config.model));
      return "done";
    }
    const { modelTable } = await import("./table.ts");
    stdout.write(modelTable(config.model === undefined ? MODEL_NAMES : [config.model], config));
    return "done";
  },
});
