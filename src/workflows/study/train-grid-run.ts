import { rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { NamedTrainConfig, TrainConfigInput } from "../../config/index.ts";
import { BatchCamError } from "../../errors.ts";
import { isExportedPath } from "../../models/internal.ts";
import { readRegularText } from "../../regular-file.ts";
import { type StartEvent, type TrainEvent, type TrainResult, train } from "../../train/index.ts";
import { continueOrRestart, environmentInWords, readLog, readRunData, unlessAborted } from "../../train/internal.ts";
import { explanationMetrics } from "../evaluate/explanation-metrics.ts";
import { spuriousRecord } from "../evaluate/spurious.ts";
import { openRun } from "../loaded-model.ts";
import { DEFAULTS } from "./grid-runs.ts";
import type { DoneRun, GridRun } from "./records.ts";
import { runSamples } from "./samples.ts";
import { medianStepSeconds } from "./step-time.ts";

export interface TrainGridRunOptions {
  /**
   * The run directory. If it contains a checkpoint of the same run, training continues from it; the same run includes the same threads and
   * everything else that changes the numbers.
   */
  directory: string;
  threads: number;
  /** Number of test images for the explanation metrics; 0 for none. */
  explanations: number;
  signal?: AbortSignal;
  onEvent?: (event: TrainEvent) => void;
}

/** The settings with which explanations are evaluated, the same for every run. A change here changes what is measured. */
const EXPLANATION_SETTINGS = {
  method: "GradCAM",
  target: "label",
  batchSize: 250,
  steps: 20,
  randomise: false,
  seed: 0,
} as const;
/** Seconds between checkpoints by default, which is the most time that a kill can cost. */
const CHECKPOINT_SECONDS = 60;

/**
 * Trains a run and evaluates the model of its best epoch on the test split. Returns null if the signal stopped it early; the run directory
 * then contains a checkpoint from which it can continue.
 * @throws the errors of training and evaluation; E_NUMERIC if the loss stops being finite
 */
export async function trainGridRun(run: GridRun, options: TrainGridRunOptions): Promise<DoneRun | null> {
  const { directory, explanations, signal, onEvent = () => {} } = options;
  let start: StartEvent | undefined;
  const result = await trainRun(run.config, {
    ...options,
    onEvent: (event) => {
      if (event.type === "start") start = event;
      onEvent(event);
    },
  });
  const { test, history, bestEpoch, step, seconds, interrupted } = result;
  if (interrupted || test === null || start === undefined) return null;
  await expectData(run, directory);
  const log = await readLog(join(directory, "metrics.jsonl"));
  const measured = await unlessAborted(signal, () => measure(directory, { explanations, signal }));
  if (measured === null) return null;
  return {
    ...run,
    ...{ schemaVersion: 1, status: "done", test, history, bestEpoch, steps: step, seconds },
    secondsPerStep: medianStepSeconds(log, run.config),
    parameters: start.parameters,
    images: { train: start.trainImages, val: start.valImages, test: test.images },
    ...measured,
    environment: environmentInWords(JSON.parse(await readRegularText(join(directory, "environment.json")))),
  };
}

/** Throws if the images changed between the start of the grid and the training. */
async function expectData({ data, config }: GridRun, directory: string): Promise<void> {
  const trained = (await readRunData(directory))?.record.source ?? undefined;
  if (data === undefined || data === trained) return;
  throw new BatchCamError(
    "E_DATA",
    `compare: the images of ${config.dataDir} have changed since the grid started; give the command again`,
  );
}

type TrainRunOptions = Pick<TrainGridRunOptions, "directory" | "threads" | "signal" | "onEvent">;

async function trainRun(
  run: NamedTrainConfig,
  { directory, threads, signal, onEvent }: TrainRunOptions,
): Promise<TrainResult> {
  const options = { ...withSignal(signal), ...(onEvent === undefined ? {} : { onEvent }) };
  const config: TrainConfigInput = {
    ...{ checkpointSeconds: CHECKPOINT_SECONDS, ...withoutDefaultImages(run) },
    ...{ output: dirname(directory), experiment: basename(directory), threads, figures: false, logEvery: 1 },
    deterministic: true,
  };
  return continueOrRestart(directory, {
    resume: () => train({ ...config, resume: true }, options),
    restart: async () => {
      await rm(directory, { recursive: true, force: true });
      return train(config, options);
    },
  });
}

/** The config of a run has its defaults filled in, and those for images would contradict the file of an exported model. */
function withoutDefaultImages(run: NamedTrainConfig): TrainConfigInput {
  if (!isExportedPath(run.model)) return run;
  const { imageSize, imageChannels, ...rest } = run;
  return {
    ...rest,
    ...(imageSize === DEFAULTS.imageSize ? {} : { imageSize }),
    ...(imageChannels === DEFAULTS.imageChannels ? {} : { imageChannels }),
  };
}

type Measured = Pick<DoneRun, "explanations" | "spurious" | "samples">;

async function measure(
  directory: string,
  { explanations, signal }: { explanations: number; signal: AbortSignal | undefined },
): Promise<Measured> {
  const subject = await openRun(directory, "compare");
  try {
    const judge = (limit: number) =>
      explanationMetrics(subject, subject.data.test, { ...EXPLANATION_SETTINGS, limit, ...withSignal(signal) });
    return {
      explanations: explanations > 0 ? await judge(explanations) : null,
      spurious: await spuriousRecord(subject, withSignal(signal)),
      samples: await runSamples(subject, signal),
    };
  } finally {
    subject.dispose();
  }
}

function withSignal(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
