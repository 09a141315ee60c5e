import { EvaluateConfig } from "../../config/index.ts";
import { defineCommand } from "../command.ts";

export const evaluateCommand = defineCommand({
  name: "evaluate",
  summary:
    "Evaluate a run, or an exported model on a data set: print its accuracy and all metrics of its explanations, and save them.",
  config: EvaluateConfig,
  operand: { key: "run", name: "RUN" },
  interruptible: "after this batch",
  async run(call) {
    const { runEvaluate } = await import("./evaluate.ts");
    return runEvaluate(call);
  },
});
