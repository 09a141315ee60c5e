import { DemoConfig } from "../../config/index.ts";
import { type Command, defineCommand } from "../command.ts";
import { loadTrainingParts, type TrainingParts } from "../train/training.ts";
import { runDemo } from "./demo.ts";

/** `batch-cam demo`, with the trainer that `load` gives. */
function createDemoCommand(load: () => Promise<TrainingParts>): Command {
  return defineCommand({
    name: "demo",
    summary:
      "Train on MNIST, plain and guided, and on MNIST with a decoy patch, with a control beside them, and compare.",
    config: DemoConfig,
    interruptible: "after this step with a checkpoint",
    run: async (call) => await runDemo(await load(), call),
  });
}

export const demoCommand = createDemoCommand(loadTrainingParts);
