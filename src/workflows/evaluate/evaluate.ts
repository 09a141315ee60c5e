import { expectInteger, optionsOf } from "../../arguments.ts";
import type { TrainConfig } from "../../config/index.ts";
import {
  evaluateSplit,
  type MapSamples,
  type SplitEvaluationOptions,
  type SplitRecord,
  sampleMaps,
} from "../../train/index.ts";
import { type LoadedRun, openRun, type RunDataOptions, type WithoutTest } from "../loaded-model.ts";

export interface EvaluateOptions extends RunDataOptions {
  /** Images per forward pass. */
  batchSize?: number;
}

/** The test results of a checkpoint. */
export interface Evaluation {
  checkpoint: string;
  config: TrainConfig;
  test: SplitRecord;
  samples: MapSamples;
}

/**
 * Evaluates a run's best epoch, or one of its checkpoints, on the test split and in the precision of its config. On the machine that
 * trained the run, the result equals the run's own test results.
 *
 * @param runOrCheckpoint a run directory, or a file in its `checkpoints/`
 * @throws E_CHECKPOINT if there is no checkpoint or it does not fit its run's model; E_DATA if the data differ from the run's, naming each
 * difference
 */
export async function evaluate(runOrCheckpoint: string, options: EvaluateOptions = {}): Promise<Evaluation> {
  return withRun(runOrCheckpoint, options, async ({ checkpoint, config, model, data: { test } }, judged) => ({
    ...{ checkpoint, config },
    test: await evaluateSplit(model, test, judged),
    samples: await sampleMaps(model, test, judged),
  }));
}

/** `evaluate` for the report of a run, which may have no test images: it then shows maps of validation images. */
export async function evaluateForReport(
  runDirectory: string,
  options: EvaluateOptions = {},
): Promise<Omit<Evaluation, "test"> & { test: SplitRecord | null }> {
  const judge = async ({ checkpoint, config, model, data: { test } }: LoadedRun, judged: SplitEvaluationOptions) => ({
    ...{ checkpoint, config },
    test: test.name === "test" ? await evaluateSplit(model, test, judged) : null,
    samples: await sampleMaps(model, test, judged),
  });
  return withRun(runDirectory, options, judge, { operation: "writeReport", withoutTest: "validation" });
}

/**
 * Like `evaluate`, but computes only the maps of one test image of each class, which is quick. A run without test images shows
 * validation images.
 */
export async function evaluateSamples(
  runOrCheckpoint: string,
  options: EvaluateOptions = {},
): Promise<Omit<Evaluation, "test">> {
  const judge = async ({ checkpoint, config, model, data: { test } }: LoadedRun, judged: SplitEvaluationOptions) => ({
    ...{ checkpoint, config },
    samples: await sampleMaps(model, test, judged),
  });
  return withRun(runOrCheckpoint, options, judge, { withoutTest: "validation" });
}

interface Opening {
  /** The operation that an error names. */
  operation?: string;
  withoutTest?: WithoutTest;
}

async function withRun<T>(
  runOrCheckpoint: string,
  given: EvaluateOptions,
  fn: (subject: LoadedRun, options: SplitEvaluationOptions) => Promise<T>,
  { operation = "evaluate", withoutTest = "refuse" }: Opening = {},
): Promise<T> {
  const known = ["batchSize", "dataDir", "acceptNewData", "data", "model", "onWarning"] as const;
  const { batchSize = 250, ...options } = optionsOf(operation, given, known);
  expectInteger(`${operation}: batchSize`, batchSize, 1);
  const subject = await openRun(runOrCheckpoint, operation, { ...options, withoutTest });
  const { camLayer, prototypes, amp, channelsLast } = subject;
  try {
    return await fn(subject, { camLayer, prototypes, batchSize, amp, channelsLast });
  } finally {
    subject.dispose();
  }
}
