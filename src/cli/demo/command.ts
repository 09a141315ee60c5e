import { DemoConfig } from "../../config/index.ts";
import { type Command, defineCommand } from "../command.ts";
import { loadTrainingParts, type TrainingParts } from "../train/training.ts";
import { runDemo } from "./demo.ts";

/** `batch-cam demo`, with the trainer that `load` gives. */
function createDemoCommand(load: () => Promise<TrainingParts>): Command {
  return defineCommand({
    name: "demo",
    summary:
      "Train five small networks on MNIST, without and with guidance, also with a decoy patch, and compare them in a report.",
    config: DemoConfig,
    interruptible: "after this step with a checkpoint",
    run: async (call) => await runDemo(await load(), call),
  });
}

export const demoCommand = createDemoCommand(loadTrainingParts);
