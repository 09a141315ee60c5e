import { DemoConfig } from "../../config/index.ts";
import { defineCommand } from "../command.ts";

export const demoCommand = defineCommand({
  name: "demo",
  summary:
    "Train five small networks on MNIST, without and with guidance, also with a decoy patch, and compare them in a report.",
  config: DemoConfig,
  interruptible: "after this step with a checkpoint",
  async run(call) {
    const [{ loadTrainingParts }, { runDemo }] = await Promise.all([
      import("../train/training.ts"),
      import("./demo.ts"),
    ]);
    return await runDemo(await loadTrainingParts(), call);
  },
});
