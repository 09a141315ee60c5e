import { join } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import { overrideTrainConfig, TrainConfig } from "../../config/index.ts";
import type { TrainEvent } from "../../train/events.ts";
import { type Command, defineCommand } from "../command.ts";
import { loadTrainingParts, resumeCommand, type TrainingParts, trainInView } from "../training.ts";

/** `batch-cam train`, with the trainer that `load` gives. */
export function createTrainCommand(load: () => Promise<TrainingParts>): Command {
  return defineCommand({
    name: "train",
    summary: "Train one classifier and write its run directory.",
    config: TrainConfig,
    merge: overrideTrainConfig,
    interruptible: "after this step with a checkpoint",
    async run({ input, ...call }) {
      const { train, renderReport } = await load();
      let { figures } = call.config; // as the flags say; a resumed run may know better
      const onEvent = (event: TrainEvent): void => {
        if (event.type === "start") figures = event.config.figures;
      };
      const result = await trainInView(train, input, { ...call, onEvent });
      if (result.interrupted) {
        call.stderr.write(`to go on: ${resumeCommand(result.runDirectory)}\n`);
        return "interrupted";
      }
      if (!figures) return "done";
      const report = join(result.runDirectory, "report.html");
      await writeFileAtomically(report, await renderReport([result]));
      call.stdout.write(`report: ${report}\n`);
      return "done";
    },
  });
}

export const trainCommand = createTrainCommand(loadTrainingParts);
