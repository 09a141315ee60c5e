import { z } from "zod";
import { MODEL_NAMES } from "../../config/index.ts";
import { defineCommand } from "../command.ts";

const ModelsConfig = z.strictObject({
  imageSize: z.int().positive().default(28).describe("height and width of the images, for multiply-adds and map sizes"),
  inChannels: z.int().positive().default(1).describe("number of image channels"),
  numClasses: z.int().positive().default(10).describe("number of classes"),
  model: z.enum(MODEL_NAMES).optional().describe("print only this model"),
});

export const modelsCommand = defineCommand({
  name: "models",
  summary: "Print the models with their parameters, multiply-adds, and the map size of each stage for an image size.",
  config: ModelsConfig,
  async run({ config, stdout }) {
    const { modelTable } = await import("./table.ts");
    stdout.write(modelTable(config.model === undefined ? MODEL_NAMES : [config.model], config));
    return "done";
  },
});
