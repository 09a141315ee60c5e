import { z } from "zod";
import { MODEL_NAMES } from "../../config/index.ts";
import { defineCommand } from "../command.ts";

const ModelsConfig = z.strictObject({
  imageSize: z.int().positive().default(28).describe("side of the images, for multiply-adds and map sizes"),
  inChannels: z.int().positive().default(1).describe("channels of the images"),
  numClasses: z.int().positive().default(10).describe("classes to tell apart"),
  model: z.enum(MODEL_NAMES).optional().describe("only this one"),
});

export const modelsCommand = defineCommand({
  name: "models",
  summary: "Print the models: parameters, multiply-adds, and the maps of their stages at an image size.",
  config: ModelsConfig,
  async run({ config, stdout }) {
    const { modelTable } = await import("./table.ts");
    stdout.write(modelTable(config.model === undefined ? MODEL_NAMES : [config.model], config));
    return "done";
  },
});
