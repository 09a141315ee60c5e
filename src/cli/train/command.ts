import { join } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import { overrideTrainConfig, TrainConfig } from "../../config/index.ts";
import { BatchCamError } from "../../errors.ts";
import type { StartEvent, TrainEvent } from "../../train/index.ts";
import { type Command, defineCommand } from "../command.ts";
import { warnTo } from "../warn.ts";
import type { TrainingParts } from "./training.ts";

/** Makes the `train` command. `load` imports the trainer. */
export function createTrainCommand(load: () => Promise<TrainingParts>): Command {
  return defineCommand({
    name: "train",
    summary: "Train one classifier and write its run directory.",
    config: TrainConfig,
    merge: overrideTrainConfig,
    interruptible: "after this step with a checkpoint",
    async run({ input, ...call }) {
      const { train, renderReport } = await load();
      const { trainInView } = await import("./training.ts");
      const { removeModelCard, writeModelCard } = await import("../report/model-card.ts");
      let start: StartEvent | undefined;
      let cleared = Promise.resolve();
      const onEvent = (event: TrainEvent): void => {
        if (event.type !== "start") return;
        start = event;
        if (event.resumedFromStep === 0) cleared = removeModelCard(event.runDirectory);
      };
      const result = await trainInView(train, input, { ...call, onEvent });
      const warn = warnTo(call.stderr);
      await cleared;
      if (start !== undefined) await writeModelCard(result, start, warn);
      if (result.interrupted) {
        const { resumeCommand } = await import("../shell-commands.ts");
        call.stderr.write(`to continue: ${resumeCommand(result.runDirectory)}\n`);
        return "interrupted";
      }
      // The config of the start event counts, because a resumed run may have other options than the flags.
      if (!(start?.config ?? call.config).figures) return "done";
      const report = join(result.runDirectory, "report.html");
      try {
        await writeFileAtomically(report, await renderReport([result], start === undefined ? {} : { start }));
      } catch (error) {
        // If the images changed during training, the report cannot be written, but the training has still succeeded.
        if (!(error instanceof BatchCamError && error.code === "E_DATA")) throw error;
        warn(`the report could not be written: ${error.detail}`);
        return "done";
      }
      call.stdout.write(`report: ${report}\n`);
      return "done";
    },
  });
}

export const trainCommand = createTrainCommand(async () => (await import("./training.ts")).loadTrainingParts());
