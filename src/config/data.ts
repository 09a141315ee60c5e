import { z } from "zod";
import { dataFields } from "./data-fields.ts";
import { path } from "./fields.ts";

/** The options of `batch-cam data`. */
export const DataConfig = z.strictObject({
  ...dataFields,
  picture: path()
    .optional()
    .describe("file for the picture with an example of each class (default: runs/data/<name>.png)"),
  json: z.boolean().default(false).describe("print the counts as JSON"),
});
export type DataConfig = z.output<typeof DataConfig>;
