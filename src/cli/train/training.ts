import type { TrainConfigInput } from "../../config/index.ts";
import { createTensorBoardLog } from "../../report/internal.ts";
import type { TrainEvent, TrainResult } from "../../train/index.ts";
import type { CommandCall } from "../command.ts";
import type { RunReportOptions } from "../report/run-report.ts";
import { createProgress } from "./progress.ts";
import { createFigures } from "./progress-lines.ts";

/** The trainer as the commands call it. */
export type Train = (
  config: TrainConfigInput,
  options: { onEvent?: (event: TrainEvent) => void; signal?: AbortSignal },
) => Promise<TrainResult>;

/** The parts that the commands are made of. Tests replace them. */
export interface TrainingParts {
  train: Train;
  /** Makes the page about finished runs. */
  renderReport: (results: readonly TrainResult[], options?: RunReportOptions) => Promise<string>;
}

/**
 * The real trainer and report. They load the engine, so only this function imports them. The report is loaded when it is
 * made, so that the first step does not wait for it.
 */
export async function loadTrainingParts(): Promise<TrainingParts> {
  const { train } = await import("../../train/index.ts");
  return {
    train,
    renderReport: async (...given) => (await import("../report/run-report.ts")).renderReport(...given),
  };
}

type TrainingCall = Pick<CommandCall, "stdout" | "stderr" | "env" | "signal"> & {
  /** Called with every event, before the progress is shown. */
  onEvent?: (event: TrainEvent) => void;
};

/** Trains a run, shows its progress and draws a figure of each epoch's maps. */
export async function trainInView(train: Train, config: TrainConfigInput, call: TrainingCall): Promise<TrainResult> {
  const progress = createProgress(call);
  const warn = (message: string) => progress.onEvent({ type: "warning", message });
  const [figures, tensorBoard] = [createFigures(warn), createTensorBoardLog(warn)];
  let logged = false;
  const onEvent = (event: TrainEvent): void => {
    call.onEvent?.(event);
    figures.onEvent(event);
    if (event.type === "start") logged = event.config.tensorboard; // the start event has the config of a resumed run, which may differ from the flags
    if (logged) tensorBoard.onEvent(event);
    progress.onEvent(event);
  };
  try {
    return await train(config, { signal: call.signal, onEvent });
  } finally {
    await figures.written();
    await tensorBoard.written();
    progress.stop();
  }
}
