import { setImmediate } from "node:timers/promises";
import { expectFunction, expectSignal, optionsOf } from "../../arguments.ts";
import type { TrainConfigInput } from "../../config/index.ts";
import { loadSafetensors } from "../../io/index.ts";
import { getNumThreads } from "../../tensor/index.ts";
import type { GivenSplits } from "../data/given-splits.ts";
import {
  bestCheckpoint,
  disposeAll,
  dropPreviousBest,
  lastCheckpoint,
  loadCheckpointed,
  saveBest,
  saveCheckpoint,
  saveEpoch,
} from "../run/checkpoint.ts";
import type { EpochRecord, SplitRecord, StepMetrics, TermBalance, TrainEvent, TrainResult } from "../run/events.ts";
import { modelOptions } from "../run/from-config.ts";
import { withSession } from "../run/session.ts";
import { type Session, snapshot } from "../run/session-state.ts";
import { EpochMeans, isBestSoFar, lastValidated, patienceFrom } from "./epoch-means.ts";
import { withAverage } from "./optimisation.ts";
import { finishProfile } from "./profiling.ts";
import { beginEpoch, refuseNonFiniteWeights, takeStep } from "./step.ts";
import { evaluateSplit, sampleMaps, validationOptions } from "./validation.ts";

export interface TrainOptions {
  onEvent?: (event: TrainEvent) => void;
  /** Aborting it stops the run after the step in progress, with a checkpoint. */
  signal?: AbortSignal;
  /** Images in place of the data set that the config names. The caller still owns them and frees them. */
  data?: GivenSplits;
}

/**
 * Trains a classifier, guided or plain, into a run directory, and tests the epoch that the validation split chose.
 *
 * @throws E_CONFIG, E_DATA, E_IO before training starts; E_NUMERIC if a term of the loss or the gradient stops being finite,
 *   naming the step, the term and the last good checkpoint
 */
export async function train(input: TrainConfigInput = {}, options: TrainOptions = {}): Promise<TrainResult> {
  const { onEvent = () => {}, signal, data: given } = optionsOf("train", options, ["onEvent", "signal", "data"]);
  expectFunction("train: onEvent", onEvent);
  expectSignal("train: signal", signal);
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
  while (progress.epoch <= config.epochs && (!isOver(session) || progress.batch > 0) && !interrupted) {
    interrupted = (await runEpoch(session, signal)) || !(await judgeEpoch(session, signal));
  }
  await finishProfile(session);
  const result = await finish(session, interrupted, signal);
  session.reporting.emit({ type: "end", result });
  return result;
}

const isOver = (session: Session): boolean => endOf(session) !== null;

/** Why training stops: the number of steps, the time, or a validation accuracy that has not improved for long. */
function endOf({ config, progress, length }: Session): Exclude<TrainResult["endedBy"], "signal"> | null {
  const { maxSeconds = Number.POSITIVE_INFINITY, patience = Number.POSITIVE_INFINITY } = config;
  const { step, seconds, history } = progress;
  if (step >= length.lastStep) return step < length.totalSteps ? "maxSteps" : "epochs";
  if (lastValidated(history) - patienceFrom(progress) >= patience) return "patience";
  return seconds >= maxSeconds ? "maxSeconds" : null;
}

/** Validates after the last step of an epoch, and moves on to the next; false if the signal interrupted that. */
async function judgeEpoch(session: Session, signal: AbortSignal | undefined): Promise<boolean> {
  refuseNonFiniteWeights(session);
  const { progress, config, length, network, optimisation } = session;
  const whole = progress.batch === length.stepsPerEpoch;
  const due = whole && progress.epoch % config.valInterval === 0;
  if (whole && !due && progress.epoch < config.epochs && !isOver(session)) {
    Object.assign(progress, { epoch: progress.epoch + 1, batch: 0 });
    await checkpoint(session);
    return true;
  }
  // A run that ends when no validation is due is validated once, so that it has a result. Resuming undoes that validation.
  if (!due) await checkpoint(session);
  const judged = await withAverage(network.model, optimisation.weightEma, async () => {
    const judge = () => evaluateSplit(network.model, session.splits.val, validationOptions(session, signal));
    const judgement = await unlessAborted(signal, judge);
    if (judgement !== null) await endEpoch(session, judgement, due);
    return judgement !== null;
  });
  if (due) {
    await checkpoint(session);
    await dropPreviousBest(session.run.directory);
  }
  return judged;
}

/** Resolves to the result of fn, or to null if the signal interrupted it. */
export async function unlessAborted<T>(signal: AbortSignal | undefined, fn: () => Promise<T>): Promise<T | null> {
  try {
    return await fn();
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return null;
    throw error;
  }
}

/** Trains on the remaining batches of the epoch in progress; true if the signal interrupted it. */
async function runEpoch(session: Session, signal: AbortSignal | undefined): Promise<boolean> {
  const { config, progress, reporting } = session;
  const { profiler } = reporting;
  const means = EpochMeans.from(progress.means);
  const stopping = () => signal?.aborted === true;
  let savedAt = performance.now();
  for (const indices of beginEpoch(session)) {
    if (isOver(session)) break;
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
    if (progress.step % config.logEvery === 0) await logStep(session, metrics, indices.length / seconds);
    const due = config.checkpointSeconds !== undefined && performance.now() - savedAt > config.checkpointSeconds * 1000;
    if (stopping() || due || progress.step % config.checkpointEvery === 0) {
      await checkpoint(session);
      savedAt = performance.now();
    }
    if (stopping()) return true;
    await setImmediate(); // lets signals, progress and the garbage collector run
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

/** Logs the epoch, saves its weights if they are the best so far, and moves on to the next. */
async function endEpoch(session: Session, judged: SplitRecord, due: boolean): Promise<void> {
  const { config, progress } = session;
  const { log, emit } = session.reporting;
  const { epoch, step, history } = progress;
  const record: EpochRecord = {
    epoch,
    step,
    train: EpochMeans.from(progress.means).means(),
    val: judged,
    secondsPerEpoch: progress.epochSeconds / (epoch - lastValidated(history)),
    bestSoFar: false,
  };
  record.bestSoFar = isBestSoFar(judged, progress);
  history.push(record);
  await keepWeights(session, record, due);
  await log.append({ kind: "epoch", ...record });
  await log.writeSummary(history);
  emit({ type: "epoch", epoch, epochs: config.epochs, record });
  if (config.figures) {
    const samples = await sampleMaps(session.network.model, session.splits.val, validationOptions(session));
    emit({ type: "maps", epoch, samples });
  }
  Object.assign(progress, { epoch: epoch + 1, batch: 0, means: new EpochMeans().state(), epochSeconds: 0 });
}

/**
 * Saves the weights of an epoch if it is the best so far, and those of the last few epochs if the config asks for them.
 * @param due false if no validation was due after this epoch: then its weights are not counted among the last few
 */
async function keepWeights(
  { config, network, run, progress }: Session,
  { bestSoFar }: EpochRecord,
  due: boolean,
): Promise<void> {
  const { epoch } = progress;
  const weights = network.model.stateDict();
  try {
    if (bestSoFar) {
      await saveBest(run.directory, weights, epoch);
      progress.bestEpoch = epoch;
    }
    if (due && config.keepEpochs > 0) await saveEpoch(run.directory, weights, { epoch, keep: config.keepEpochs });
  } finally {
    disposeAll(weights);
  }
}

async function checkpoint(session: Session): Promise<void> {
  refuseNonFiniteWeights(session);
  const taken = snapshot(session);
  const path = await saveCheckpoint(session.run.directory, taken).finally(() => disposeAll(taken.model, taken.state));
  session.savedStep = session.progress.step;
  session.reporting.emit({ type: "checkpoint", step: session.progress.step, path });
}

async function finish(session: Session, cut: boolean, signal: AbortSignal | undefined): Promise<TrainResult> {
  const { progress, run } = session;
  const best = progress.bestEpoch === 0 ? null : bestCheckpoint(run.directory);
  const tested = cut
    ? null
    : await unlessAborted(signal, async () => ({ test: await testBest(session, best, signal) }));
  return {
    runDirectory: run.directory,
    interrupted: tested === null,
    endedBy: (tested === null ? null : endOf(session)) ?? "signal",
    step: progress.step,
    history: progress.history,
    test: tested?.test ?? null,
    bestEpoch: progress.bestEpoch,
    ...(progress.rejudged === undefined ? {} : { rejudged: progress.rejudged }),
    checkpoint: lastCheckpoint(run.directory),
    best,
    seconds: progress.seconds,
  };
}

/** Loads the best epoch's weights into the model, and tests them; null if there are no test images. */
async function testBest(
  session: Session,
  best: string | null,
  signal: AbortSignal | undefined,
): Promise<SplitRecord | null> {
  const { model } = session.network;
  const { test } = session.splits;
  if (best !== null) {
    const weights = await loadSafetensors(best);
    loadCheckpointed(model, weights, best);
    disposeAll(weights);
  }
  return test === null ? null : evaluateSplit(model, test, validationOptions(session, signal));
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
  const { run, config, network, guidance, maps, length, splits, progress, reporting } = session;
  const { train, val, test } = splits;
  reporting.emit({
    type: "start",
    runDirectory: run.directory,
    modelOptions: modelOptions(config, train),
    resumedFromStep: progress.step,
    voidFromStep: reporting.rewound.fromStep,
    parameters: network.model.parameters().reduce((sum, parameter) => sum + parameter.numel, 0),
    mapSize: maps.size,
    camLayer: guidance.camLayer,
    stepsPerEpoch: length.stepsPerEpoch,
    epochs: config.epochs,
    trainImages: train.labels.numel,
    valImages: val.labels.numel,
    testImages: test?.labels.numel ?? 0,
    threads: getNumThreads(),
    classNames: train.classNames,
    ...(maps.prototypeShape === null ? {} : { prototypeShape: maps.prototypeShape }),
    precision: network.amp ? "bfloat16" : "float32",
    config,
  });
}
