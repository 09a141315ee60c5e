import { z } from "zod";
import { path, runDataFields } from "./fields.ts";

/** What `batch-cam report` takes. */
export const ReportConfig = z.strictObject({
  path: path().describe("results folder of a grid, or a run directory"),
  ...runDataFields(),
});
export type ReportConfig = z.output<typeof ReportConfig>;
