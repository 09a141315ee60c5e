import { EvaluateConfig } from "../../config/index.ts";
import { defineCommand } from "../command.ts";

export const evaluateCommand = defineCommand({
  name: "evaluate",
  summary: "Judge a run: accuracy, and every metric of its explanations; printed and kept in the run.",
  config: EvaluateConfig,
  operand: { key: "run", name: "RUN" },
  interruptible: "after this batch",
  async run(call) {
    const { runEvaluate } = await import("./evaluate.ts");
    return runEvaluate(call);
  },
});
