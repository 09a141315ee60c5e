import { ReportConfig } from "../../config/index.ts";
import { defineCommand } from "../command.ts";

export const reportCommand = defineCommand({
  name: "report",
  summary: "Write the report.html of a grid's results, or of a run, anew from what is there.",
  config: ReportConfig,
  operand: { key: "path", name: "GRID|RUN" },
  async run(call) {
    const { runReport } = await import("./report.ts");
    return runReport(call);
  },
});
