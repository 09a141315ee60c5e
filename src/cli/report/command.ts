import { ReportConfig } from "../../config/index.ts";
import { defineCommand } from "../command.ts";

export const reportCommand = defineCommand({
  name: "report",
  summary: "Write report.html again for a grid's results folder or a run directory.",
  config: ReportConfig,
  operand: { key: "path", name: "GRID|RUN" },
  async run(call) {
    const { runReport } = await import("./report.ts");
    return runReport(call);
  },
});
