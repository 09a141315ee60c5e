import { setImmediate } from "node:timers/promises";
import { expectFunction, expectSignal, optionsOf } from "../../arguments.ts";
import type { TrainConfigInput } from "../../config/index.ts";
import type { Module } from "../../nn/index.ts";
import { getNumThreads } from "../../tensor/index.ts";
import type { GivenSplits } from "../data/given-splits.ts";
import type { StepMetrics, TermBalance, TrainEvent, TrainResult } from "../run/events.ts";
import { modelOptions } from "../run/from-config.ts";
import { expectTrainable } from "../run/given-model.ts";
import { withSession } from "../run/session.ts";
import type { Session } from "../run/session-state.ts";
import { checkpoint, endOf, finish, validateEpoch } from "./epoch-end.ts";
import { type LossOption, lossesOf } from "./extra-losses.ts";
import { finishProfile } from "./profiling.ts";
import { beginEpoch, EpochMeans, takeStep } from "./step.ts";

export interface TrainOptions {
  onEvent?: ((event: TrainEvent) => void) | undefined;
  /** Aborting it stops the run after the step in progress, with a checkpoint. */
  signal?: AbortSignal | undefined;
  /** Images to use instead of the data set that the config names. The caller keeps ownership and frees them. */
  data?: GivenSplits | undefined;
  /**
   * A network in place of the one that the config names: any module that takes the images and gives a logit for each class. It is
   * trained in place, and has the weights of the best epoch in the end (those of the last step if the run was interrupted).
   * Resuming loads the run's weights into it.
   */
  model?: Module | undefined;
  /** Terms that are added to the loss as they are, and logged under their names. */
  loss?: LossOption | undefined;
}

/**
 * Trains a classifier with or without guidance, writes a run directory, and tests the model of the epoch that was best on the validation
 * split.
 *
 * A run whose model, images or loss terms a program gave is resumed with the same ones.
 *
 * @throws E_CONFIG, E_DATA, E_IO before training starts, E_ARGUMENT, E_SHAPE and E_CHECKPOINT for a model, images or terms that do
 *   not fit; E_NUMERIC if a term of the loss or the gradient stops being finite,
 *   naming the step, the term and the last good checkpoint
 */
export async function train(input: TrainConfigInput = {}, options: TrainOptions = {}): Promise<TrainResult> {
  const known = ["onEvent", "signal", "data", "model", "loss"] as const;
  const { onEvent = () => {}, signal, data, model, loss } = optionsOf("train", options, known);
  expectFunction("train: onEvent", onEvent);
  expectSignal("train: signal", signal);
  if (model !== undefined) expectTrainable("train", model);
  const given = { model, data, losses: lossesOf("train", loss) };
  return withSession(
    input,
    onEvent,
    async (session) => {
      announce(session);
      repeatSteps(session);
      return runEpochs(session, signal);
    },
    { signal, given },
  );
}

async function runEpochs(session: Session, signal: AbortSignal | undefined): Promise<TrainResult> {
  const { config, progress } = session;
  let interrupted = false;
  // A checkpoint may have been written after an epoch's last step and before its validation.
  while (progress.epoch <= config.epochs && (endOf(session) === null || progress.batch > 0) && !interrupted) {
    interrupted = (await runEpoch(session, signal)) || !(await validateEpoch(session, signal));
  }
  await finishProfile(session);
  const result = await finish(session, interrupted, signal);
  session.reporting.emit({ type: "end", result });
  return result;
}

/** Trains on the remaining batches of the epoch in progress; true if the signal interrupted it. */
async function runEpoch(session: Session, signal: AbortSignal | undefined): Promise<boolean> {
  const { config, progress, length, reporting } = session;
  const { maxSeconds = Number.POSITIVE_INFINITY } = config;
  const { profiler } = reporting;
  const means = EpochMeans.from(progress.means);
  const stopping = () => signal?.aborted === true;
  let savedAt = performance.now();
  let unlogged = { images: 0, seconds: 0 };
  if (endOf(session) !== null) return false;
  for (const indices of beginEpoch(session)) {
    // Only the steps and the time can end the run within an epoch. Patience counts validated epochs.
    if (progress.step >= length.lastStep || progress.seconds >= maxSeconds) break;
    if (stopping()) {
      await checkpoint(session);
      return true;
    }
    const began = performance.now();
    const step = () => takeStep(session, indices);
    const metrics = profiler === null ? step() : profiler.step(step);
    means.add(metrics, indices.length);
    progress.step += 1;
    progress.batch += 1;
    const seconds = (performance.now() - began) / 1000;
    progress.seconds += seconds;
    progress.epochSeconds += seconds;
    progress.means = means.state();
    if (profiler?.complete) await finishProfile(session);
    if (reporting.balance !== null) await logBalance(session, reporting.balance);
    unlogged = { images: unlogged.images + indices.length, seconds: unlogged.seconds + seconds };
    if (progress.step % config.logEvery === 0) {
      await logStep(session, metrics, unlogged.images / unlogged.seconds);
      unlogged = { images: 0, seconds: 0 };
    }
    const due = config.checkpointSeconds !== undefined && performance.now() - savedAt > config.checkpointSeconds * 1000;
    if (stopping() || due || progress.step % config.checkpointEvery === 0) {
      await checkpoint(session);
      savedAt = performance.now();
    }
    if (stopping()) return true;
    await setImmediate(); // gives signals, the progress display and the garbage collector a chance to run
  }
  return false;
}

async function logStep(
  { reporting, progress, length }: Session,
  metrics: StepMetrics,
  imagesPerSecond: number,
): Promise<void> {
  const { epoch, step, batch } = progress;
  const { stepsPerEpoch } = length;
  await reporting.log.append({ kind: "step", epoch, step, imagesPerSecond, ...metrics });
  reporting.emit({ type: "step", epoch, step, stepInEpoch: batch, stepsPerEpoch, metrics, imagesPerSecond });
}

async function logBalance({ progress, reporting }: Session, terms: TermBalance[]): Promise<void> {
  const { epoch, step } = progress;
  reporting.balance = null;
  await reporting.log.append({ kind: "balance", epoch, step, terms });
  reporting.emit({ type: "balance", epoch, step, terms });
}

/**
 * Emits the step rows kept from before the resume again, because loggers indexed by step (TensorBoard) discard everything from
 * `voidFromStep` on.
 */
function repeatSteps({ reporting: { rewound, emit }, progress, length: { stepsPerEpoch } }: Session): void {
  for (const { kind: _, epoch, step, imagesPerSecond, ...metrics } of rewound.left)
    emit({ type: "step", epoch, step, stepInEpoch: progress.batch, stepsPerEpoch, metrics, imagesPerSecond });
}

function announce(session: Session): void {
  const { run, config, trained, losses, maps, length, progress, reporting } = session;
  const { train, val, test } = trained.data;
  reporting.emit({
    type: "start",
    runDirectory: run.directory,
    modelOptions: modelOptions(config, train),
    resumedFromStep: progress.step,
    voidFromStep: reporting.rewound.fromStep,
    parameters: trained.model.parameters().reduce((sum, parameter) => sum + parameter.numel, 0),
    mapSize: maps.size,
    camLayer: trained.camLayer,
    stepsPerEpoch: length.stepsPerEpoch,
    epochs: config.epochs,
    trainImages: train.labels.numel,
    valImages: val.labels.numel,
    testImages: test?.labels.numel ?? 0,
    threads: getNumThreads(),
    classNames: train.classNames,
    ...(losses.size === 0 ? {} : { losses: [...losses.keys()] }),
    ...(maps.prototypeShape === null ? {} : { prototypeShape: maps.prototypeShape }),
    precision: trained.amp ? "bfloat16" : "float32",
    ...(reporting.timings === null ? {} : { timings: reporting.timings }),
    config,
  });
}
