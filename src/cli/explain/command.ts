import { ExplainConfig } from "../../config/index.ts";
import { defineCommand } from "../command.ts";

export const explainCommand = defineCommand({
  name: "explain",
  summary:
    "Explain a model's predictions: compute CAM maps of images, by one or several methods, as pictures and as numbers.",
  config: ExplainConfig,
  operand: { key: "images", name: "IMAGE", many: true },
  interruptible: "after this image",
  async run(call) {
    const { runExplain } = await import("./explain.ts");
    return runExplain(call);
  },
});
