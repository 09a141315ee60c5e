import { balancedIndices, batchIndices } from "../../data/index.ts";
import { batchBounds, gatherAugmented, gatherUnchecked } from "../../data/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { clipGradNorm } from "../../optim/index.ts";
import { normOfEach } from "../../optim/internal.ts";
import { backward, noGrad, type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { channelsLast, phase } from "../../tensor/internal.ts";
import { type EpochMeansState, lastCheckpoint } from "../run/checkpoint.ts";
import type { EpochRecord, StepMetrics } from "../run/events.ts";
import type { Session } from "../run/session-state.ts";
import { type Annotations, annotatedBatch } from "./annotated-batch.ts";
import { everyOf, isBalanceStep } from "./guided-steps.ts";
import { lossBalance } from "./loss-balance.ts";
import { type Mixed, mixUp } from "./mixup.ts";
import { meanWeightsAt, type Terms, termsOf, weightsAt } from "./objective.ts";

type Metrics = EpochRecord["train"];
/** The numbers of a step before its update. */
type LossMetrics = Omit<StepMetrics, "gradNorm" | "lr"> & { accuracy: number };

/** The images of one step of the optimizer, in one or several batches. */
export const imagesPerStep = ({ batchSize, gradAccumSteps }: Session["config"]): number => batchSize * gradAccumSteps;

/** Puts the model into training mode, and yields the images of each remaining step of the epoch in progress. */
export function beginEpoch({ config, trained, training, progress, length }: Session): Int32Array[] {
  const { train } = trained.data;
  const { smallestBatch, stepsPerEpoch } = length;
  const { epoch, batch: startBatch } = progress;
  const plan = { batchSize: imagesPerStep(config), smallestBatch, seed: config.seed, epoch, startBatch };
  trained.model.train();
  for (const module of training.frozen) module.eval();
  const order = config.sampler === "balanced" ? balancedIndices(train, plan) : batchIndices(train.labels.numel, plan);
  return order.slice(0, stepsPerEpoch - startBatch);
}

/**
 * One step of gradient descent, with gradients accumulated over several batches if the config asks for it. Every tensor that it
 * creates is freed when it returns.
 */
export function takeStep(session: Session, indices: Int32Array): Metrics {
  const { config, progress } = session;
  const { model } = session.trained;
  const { optimizer, weightEma, rate, parameters } = session.optimisation;
  phase("optimizer", () => optimizer.zeroGrad());
  const numbers = accumulate(session, indices);
  const update = () => {
    const gradNorm = clipGradNorm(parameters, config.clipGrad ?? Number.POSITIVE_INFINITY);
    if (!Number.isFinite(gradNorm)) throw notFinite(session, "gradient", gradNorm);
    optimizer.lr = rate(progress.step);
    optimizer.step();
    weightEma?.update(model.stateDict(), progress.step);
    return { ...numbers, gradNorm, lr: optimizer.lr };
  };
  return phase("optimizer", () => tidy(update));
}

/** Accumulates the gradient of the mean loss over all images in `.grad`, batch by batch. */
function accumulate(session: Session, indices: Int32Array): LossMetrics {
  const { config } = session;
  const { smallestBatch } = session.length;
  const place = session.progress.batch * imagesPerStep(config);
  const parts = batchBounds(indices.length, { batchSize: config.batchSize, smallestBatch });
  if (parts.length === 1) return accumulateBatch(session, { indices, place, crossEntropyScale: 1 }, 1);
  const whole = weightOf(session, indices);
  const means = new EpochMeans();
  for (const [start, end] of parts) {
    const part = indices.subarray(start, end);
    const share = part.length / indices.length;
    const drawn = { indices: part, place: place + start, crossEntropyScale: weightOf(session, part) / whole / share };
    const numbers = accumulateBatch(session, drawn, share);
    means.add({ ...numbers, gradNorm: 0, lr: 0 }, part.length);
  }
  return means.means();
}

interface Drawn {
  indices: Int32Array;
  /** Position of the first of them in its epoch. */
  place: number;
  crossEntropyScale: number;
}

/** The total weight of the images in the cross-entropy, which is a mean weighted by class. */
function weightOf({ trained, guidance: { classWeights } }: Session, indices: Int32Array): number {
  if (!classWeights) return indices.length;
  return tidy(() =>
    classWeights
      .indexSelect(0, trained.data.train.labels.indexSelect(0, tensor(indices)))
      .sum()
      .item(),
  );
}

function accumulateBatch(session: Session, drawn: Drawn, share: number): LossMetrics {
  const { progress, guidance, reporting } = session;
  const { model, amp } = session.trained;
  const { crossEntropyScale } = drawn;
  return tidy(() => {
    const { images, labels, ...rest } = phase("data", () => mixedBatch(session, drawn));
    const { step, epoch } = progress;
    const inputs = { images, labels, step, epoch, losses: session.losses, amp, crossEntropyScale, ...rest };
    const terms = termsOf(guidance, model, inputs);
    refuseNonFinite(session, {
      crossEntropy: terms.crossEntropy,
      prototypeLoss: terms.prototypeLoss,
      batchCamLoss: terms.batchCamLoss,
      baselineLoss: terms.baselineLoss,
      ...terms.extra,
    });
    if (balanceIsDue(session)) reporting.balance = lossBalance(model, terms, meanWeightsAt(guidance, progress.step));
    phase("backward", () => backward(share === 1 ? terms.loss : terms.loss.mul(share)));
    return { ...readTerms(terms, session), accuracy: shareCorrect(terms.logits, labels) };
  });
}

interface TrainingBatch extends Annotations {
  images: Tensor;
  labels: Tensor;
  /** The geometry by which the images were moved; null if they were not moved. */
  geometry: Tensor | null;
}

function takeBatch(session: Session, { indices, place }: Drawn): TrainingBatch {
  const { config, progress } = session;
  const { data, channelsLast: last } = session.trained;
  const { train } = data;
  const { augmentation } = session.training;
  const repeats = config.sampler === "balanced";
  const key = { seed: config.seed, epoch: progress.epoch, place: repeats ? place : undefined };
  if (config.baseline !== undefined) {
    const batch = annotatedBatch(train, indices, { ...augmentation, ...key });
    return { ...batch, images: last ? channelsLast(batch.images) : batch.images };
  }
  const batch =
    augmentation === null
      ? { ...gatherUnchecked(train, indices, last), geometry: null }
      : gatherAugmented(train, indices, { ...augmentation, ...key, channelsLast: last });
  return { ...batch, masks: null, foreground: null };
}

function mixedBatch(session: Session, drawn: Drawn): TrainingBatch & { mixed: Mixed | null } {
  const batch = takeBatch(session, drawn);
  const { mixup, seed } = session.config;
  if (mixup === 0) return { ...batch, mixed: null };
  const keys = { seed, step: session.progress.step, image: drawn.indices[0] as number };
  const mixed = mixUp(batch.images, batch.labels, mixup, keys);
  return { ...batch, images: mixed.images, mixed };
}

/** Runs once per step, on the step's first batch. */
const balanceIsDue = ({ reporting, config, progress }: Session): boolean =>
  reporting.balance === null &&
  config.lossBalanceEvery !== undefined &&
  isBalanceStep(progress.step, config.lossBalanceEvery, everyOf(config));

function readTerms(terms: Terms, { guidance, progress }: Session): Omit<StepMetrics, "gradNorm" | "lr"> {
  const weights = weightsAt(guidance, progress.step);
  const value = (term: Tensor | null) => (term === null ? null : term.item());
  return {
    loss: terms.loss.item(),
    crossEntropy: terms.crossEntropy.item(),
    prototypeLoss: value(terms.prototypeLoss),
    batchCamLoss: value(terms.batchCamLoss),
    baselineLoss: value(terms.baselineLoss),
    lambdaPrototype: weights.prototypeLoss,
    lambdaBatch: weights.batchCamLoss,
    deadMaps: terms.dead === null ? null : terms.dead.to("float32").mean().item(),
    rawMapMax: terms.rawMaps === null ? null : terms.rawMaps.detach().max().item(),
    ...Object.fromEntries(Object.entries(terms.extra).map(([name, term]) => [name, term.item()])),
  };
}

const shareCorrect = (logits: Tensor, labels: Tensor): number =>
  noGrad(() => logits.argmax(1).eq(labels).to("float32").mean().item());

function refuseNonFinite(session: Session, terms: Record<string, Tensor | null>): void {
  for (const [name, term] of Object.entries(terms)) {
    const value = term?.item() ?? 0;
    if (!Number.isFinite(value)) throw notFinite(session, name, value);
  }
}

/** Fails if a weight is not finite, so that no such weight is ever saved, validated or chosen as the best. */
export function refuseNonFiniteWeights(session: Session): void {
  const named = [...session.trained.model.namedParameters()];
  const norms = noGrad(() => tidy(() => normOfEach(named.map(([, parameter]) => parameter.detach()))));
  const bad = norms.findIndex((norm) => !Number.isFinite(norm));
  const [name] = named[bad] ?? [];
  if (name !== undefined) throw notFinite(session, `the norm of ${name}`, norms[bad] as number, session.progress.step);
}

function notFinite(
  { config, progress, run, savedStep }: Session,
  term: string,
  value: number,
  step = progress.step + 1,
): BatchCamError {
  const good =
    savedStep === null
      ? "there is no checkpoint yet"
      : `the last good checkpoint is ${lastCheckpoint(run.directory)} (step ${savedStep})`;
  const advice = config.plain ? "option lr or clipGrad" : "option lr, clipGrad or a longer lambdaWarmup";
  return new BatchCamError(
    "E_NUMERIC",
    `step ${step}: ${term} is ${value}; ${good}. Try a smaller value of the ${advice}`,
  );
}

/**
 * Means over an epoch's steps, weighted by the number of images. A number that only some steps have, such as a term of the guidance, is a
 * mean over these. The state is part of a checkpoint, so that a resumed run has the same means.
 */
export class EpochMeans {
  #images = 0;
  #sums: Record<string, number | null> = {};
  /** The images of the steps that did not have a number. */
  #missing: Record<string, number> = {};

  add(values: Metrics, images: number): void {
    this.#images += images;
    for (const [key, value] of Object.entries(values)) {
      const sum = this.#sums[key] ?? null;
      const isMissing = value === null || value === undefined;
      if (isMissing) this.#missing[key] = (this.#missing[key] ?? 0) + images;
      this.#sums[key] = isMissing ? sum : (sum ?? 0) + value * images;
    }
  }

  means(): Metrics {
    const meanOf = ([key, sum]: [string, number | null]) =>
      sum === null ? null : sum / (this.#images - (this.#missing[key] ?? 0));
    const entries = Object.entries(this.#sums).map((entry) => [entry[0], meanOf(entry)]);
    return Object.fromEntries(entries) as unknown as Metrics;
  }

  state(): EpochMeansState {
    return { images: this.#images, sums: { ...this.#sums }, missing: { ...this.#missing } };
  }

  static from({ images, sums, missing = {} }: EpochMeansState): EpochMeans {
    const means = new EpochMeans();
    means.#images = images;
    means.#sums = { ...sums };
    means.#missing = { ...missing };
    return means;
  }
}
