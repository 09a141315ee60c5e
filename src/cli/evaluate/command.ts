import { EvaluateConfig } from "../../config/index.ts";
import { defineCommand } from "../command.ts";

export const evaluateCommand = defineCommand({
  name: "evaluate",
  summary:
    "Evaluate a run: print its accuracy and all metrics of its explanations, and save them in the run directory.",
  config: EvaluateConfig,
  operand: { key: "run", name: "RUN" },
  interruptible: "after this batch",
  async run(call) {
    const { runEvaluate } = await import("./evaluate.ts");
    return runEvaluate(call);
  },
});
