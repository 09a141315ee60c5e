import { z } from "zod";
import { dataFields } from "./data-fields.ts";
import { path } from "./fields.ts";

/** What `batch-cam data` takes. */
export const DataConfig = z.strictObject({
  ...dataFields,
  picture: path().optional().describe("where the picture of the classes goes (default: runs/data/<name>.png)"),
  json: z.boolean().default(false).describe("print the counts as JSON"),
});
export type DataConfig = z.output<typeof DataConfig>;
