import { loadSafetensors } from "../../io/index.ts";
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
import type { EpochRecord, SplitRecord, TrainResult } from "../run/events.ts";
import { type Session, snapshot } from "../run/session-state.ts";
import { isBestSoFar, lastValidated, patienceFrom } from "./best-epoch.ts";
import { withAverage } from "./optimisation.ts";
import { EpochMeans, refuseNonFiniteWeights } from "./step.ts";
import { evaluateSplit, sampleMaps, validationOptions } from "./validation.ts";

/**
 * The reason why training stops now: the number of steps, the time, or a validation accuracy that has not improved for
 * `patience` epochs.
 */
export function endOf({ config, progress, length }: Session): Exclude<TrainResult["endedBy"], "signal"> | null {
  const { maxSeconds = Number.POSITIVE_INFINITY, patience = Number.POSITIVE_INFINITY } = config;
  const { step, seconds, history } = progress;
  if (step >= length.lastStep) return step < length.totalSteps ? "maxSteps" : "epochs";
  if (lastValidated(history) - patienceFrom(progress) >= patience) return "patience";
  return seconds >= maxSeconds ? "maxSeconds" : null;
}

/** Validates after the last step of an epoch, and starts the next epoch; false if the signal interrupted the validation. */
export async function validateEpoch(session: Session, signal: AbortSignal | undefined): Promise<boolean> {
  refuseNonFiniteWeights(session);
  const { progress, config, length, trained, optimisation } = session;
  const whole = progress.batch === length.stepsPerEpoch;
  const due = whole && progress.epoch % config.valInterval === 0;
  if (whole && !due && progress.epoch < config.epochs && endOf(session) === null) {
    Object.assign(progress, { epoch: progress.epoch + 1, batch: 0 });
    await checkpoint(session);
    return true;
  }
  // A run that ends when no validation is due is validated once, so that it has a result. Resuming undoes that validation.
  if (!due) await checkpoint(session);
  const judged = await withAverage(trained.model, optimisation.weightEma, async () => {
    const judge = () => evaluateSplit(trained.model, trained.data.val, validationOptions(trained, signal));
    const judgement = await unlessAborted(signal, judge);
    if (judgement !== null) await recordEpoch(session, judgement, due);
    return judgement !== null;
  });
  if (due) {
    await checkpoint(session);
    await dropPreviousBest(session.run.directory);
  }
  return judged;
}

/** Logs the epoch, saves its weights if they are the best so far, and starts the next epoch. */
async function recordEpoch(session: Session, judged: SplitRecord, due: boolean): Promise<void> {
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
    const samples = await sampleMaps(
      session.trained.model,
      session.trained.data.val,
      validationOptions(session.trained),
    );
    emit({ type: "maps", epoch, samples });
  }
  Object.assign(progress, { epoch: epoch + 1, batch: 0, means: new EpochMeans().state(), epochSeconds: 0 });
}

/**
 * Saves the weights of an epoch if it is the best so far, and those of the last few epochs if the config asks for them.
 * @param due false if no validation was due after this epoch: then its weights are not counted among the last few
 */
async function keepWeights(
  { config, trained, run, progress }: Session,
  { bestSoFar }: EpochRecord,
  due: boolean,
): Promise<void> {
  const { epoch } = progress;
  const weights = trained.model.stateDict();
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

export async function checkpoint(session: Session): Promise<void> {
  refuseNonFiniteWeights(session);
  const taken = snapshot(session);
  const path = await saveCheckpoint(session.run.directory, taken).finally(() => disposeAll(taken.model, taken.state));
  session.savedStep = session.progress.step;
  session.reporting.emit({ type: "checkpoint", step: session.progress.step, path });
}

export async function finish(session: Session, cut: boolean, signal: AbortSignal | undefined): Promise<TrainResult> {
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
  const { model, data } = session.trained;
  if (best !== null) {
    const weights = await loadSafetensors(best);
    loadCheckpointed(model, weights, best);
    disposeAll(weights);
  }
  return data.test === null ? null : evaluateSplit(model, data.test, validationOptions(session.trained, signal));
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
