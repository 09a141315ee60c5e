import { z } from "zod";
import { path, runDataFields } from "./fields.ts";

/** The options of `batch-cam report`. */
export const ReportConfig = z.strictObject({
  path: path().describe("results folder of a grid, or a run directory"),
  ...runDataFields(),
});
export type ReportConfig = z.output<typeof ReportConfig>;
