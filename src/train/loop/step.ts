import { augment, gatherAugmented, warp } from "../../data/augment/augment.ts";
import { type AugmentOptions, augments } from "../../data/augment/draws.ts";
import {
  balancedIndices,
  batchBounds,
  batchIndices,
  gatherBatch,
  gatherLabelled,
  normalize,
} from "../../data/batches/loader.ts";
import type { Split } from "../../data/index.ts";
import { BatchCamError } from "../../errors.ts";
import { foregroundMask } from "../../metrics/index.ts";
import { clipGradNorm } from "../../optim/index.ts";
import { normOfEach } from "../../optim/internal.ts";
import { backward, noGrad, type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { channelsLast, phase } from "../../tensor/internal.ts";
import { lastCheckpoint } from "../run/checkpoint.ts";
import type { StepMetrics } from "../run/events.ts";
import type { Session } from "../run/session-state.ts";
import { EpochMeans } from "./epoch-means.ts";
import { lossBalance } from "./loss-balance.ts";
import { type Mixed, mixUp } from "./mixup.ts";
import { objective, type Terms, weightsAt } from "./objective.ts";

type Metrics = StepMetrics & { accuracy: number };

/** The images that one step of the optimizer takes, in one batch or several. */
export const imagesPerStep = ({ batchSize, gradAccumSteps }: Session["config"]): number => batchSize * gradAccumSteps;

/** Puts the model into training mode, and yields the images of each remaining step of the epoch in progress. */
export function beginEpoch({ config, network, progress, length, splits }: Session): Int32Array[] {
  const { train } = splits;
  const { smallestBatch, stepsPerEpoch } = length;
  const { epoch, batch: startBatch } = progress;
  const plan = { batchSize: imagesPerStep(config), smallestBatch, seed: config.seed, epoch, startBatch };
  network.model.train();
  for (const module of network.frozen) module.eval();
  const order = config.sampler === "balanced" ? balancedIndices(train, plan) : batchIndices(train.labels.numel, plan);
  return order.slice(0, stepsPerEpoch - startBatch);
}

/**
 * One step of gradient descent, with gradients accumulated over several batches if the config asks for it. Every tensor that it
 * creates is freed when it returns.
 */
export function takeStep(session: Session, indices: Int32Array): Metrics {
  const { config, progress } = session;
  const { model } = session.network;
  const { optimizer, weightEma, rate } = session.optimisation;
  phase("optimizer", () => optimizer.zeroGrad());
  const numbers = accumulate(session, indices);
  const update = () => {
    const gradNorm = clipGradNorm(model.parameters(), config.clipGrad ?? Number.POSITIVE_INFINITY);
    if (!Number.isFinite(gradNorm)) throw notFinite(session, "gradient", gradNorm);
    optimizer.lr = rate(progress.step);
    optimizer.step();
    weightEma?.update(model.stateDict(), progress.step);
    return { ...numbers, gradNorm, lr: optimizer.lr };
  };
  return phase("optimizer", () => tidy(update));
}

/** Leaves in `.grad` the gradient of the mean loss over all images, batch by batch. */
function accumulate(session: Session, indices: Int32Array): Omit<Metrics, "gradNorm" | "lr"> {
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

/** The weight of the images in the cross-entropy, which is a mean by class weights. */
function weightOf({ splits: { train }, guidance: { classWeights } }: Session, indices: Int32Array): number {
  if (!classWeights) return indices.length;
  return tidy(() =>
    classWeights
      .indexSelect(0, train.labels.indexSelect(0, tensor(indices)))
      .sum()
      .item(),
  );
}

function accumulateBatch(session: Session, drawn: Drawn, share: number): Omit<Metrics, "gradNorm" | "lr"> {
  const { progress, guidance, reporting } = session;
  const { model, amp } = session.network;
  const { crossEntropyScale } = drawn;
  return tidy(() => {
    const { images, labels, ...rest } = phase("data", () => mixedBatch(session, drawn));
    const terms = objective(model, images, labels, { step: progress.step, guidance, amp, crossEntropyScale, ...rest });
    refuseNonFinite(session, {
      crossEntropy: terms.crossEntropy,
      prototypeLoss: terms.prototypeLoss,
      batchCamLoss: terms.batchCamLoss,
      baselineLoss: terms.baselineLoss,
    });
    if (balanceIsDue(session)) reporting.balance = lossBalance(model, terms, weightsAt(session.config, progress.step));
    phase("backward", () => backward(share === 1 ? terms.loss : terms.loss.mul(share)));
    return { ...readTerms(terms, session), accuracy: shareCorrect(terms.logits, labels) };
  });
}

interface TrainingBatch {
  images: Tensor;
  labels: Tensor;
  /** How the images were moved; null if they were not. */
  geometry: Tensor | null;
  /** The masks for the baseline; null without one. */
  masks: Tensor | null;
  foreground: Tensor | null;
}

function takeBatch(session: Session, { indices, place }: Drawn): TrainingBatch {
  const { config, progress } = session;
  const { train } = session.splits;
  const last = session.network.channelsLast;
  const repeats = config.sampler === "balanced";
  const key = { seed: config.seed, epoch: progress.epoch, place: repeats ? place : undefined };
  const changes = { ...augmentOptions(config), ...key };
  if (config.baseline === undefined) {
    const batch = augments(changes)
      ? gatherAugmented(train, indices, { ...changes, channelsLast: last })
      : { ...gatherBatch(train, indices, { channelsLast: last }), geometry: null };
    return { ...batch, ...NO_ANNOTATIONS };
  }
  const { pixels, labels } = gatherLabelled(train, indices);
  const { images, geometry } = augment(pixels, indices, changes);
  const normalized = normalize(images, train.normalization);
  const annotated = annotations({ train, pixels, indices, geometry });
  return { images: last ? channelsLast(normalized) : normalized, labels, geometry, ...annotated };
}

const NO_ANNOTATIONS = { masks: null, foreground: null };

interface Annotated {
  train: Split;
  /** (B, C, H, W) in [0, 1], before augmentation: erased pixels do not show the object */
  pixels: Tensor;
  indices: Int32Array;
  geometry: Tensor | null;
}

/** The masks, and the foreground of each image, moved as the images were. */
function annotations({ train, pixels, indices, geometry }: Annotated): Pick<TrainingBatch, "masks" | "foreground"> {
  const moved = (masks: Tensor) =>
    geometry === null ? masks : warp(masks.unsqueeze(1), geometry, "zeros").squeeze(1).round();
  const foreground = moved(foregroundMask(pixels).to("float32"));
  if (train.masks === undefined) return { masks: null, foreground };
  const masks = train.masks.indexSelect(0, tensor(indices)).to("float32");
  return { masks: moved(masks), foreground };
}

const augmentOptions = (config: Session["config"]): AugmentOptions => ({
  shift: config.augShift,
  rotate: config.augRotate,
  scale: config.augScale,
  flip: config.augFlip,
  erase: config.augErase,
  brightness: config.augBrightness,
  crop: config.augCrop,
  randAugment: config.randAugment,
  randAugmentOps: config.randAugmentOps,
});

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
  (progress.step + 1) % config.lossBalanceEvery === 0;

function readTerms(terms: Terms, { config, progress }: Session): Omit<StepMetrics, "gradNorm" | "lr"> {
  const weights = weightsAt(config, progress.step);
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
  const named = [...session.network.model.namedParameters()];
  const norms = noGrad(() => tidy(() => normOfEach(named.map(([, parameter]) => parameter.detach()))));
  const bad = norms.findIndex((norm) => !Number.isFinite(norm));
  const [name] = named[bad] ?? [];
  if (name !== undefined) throw notFinite(session, `the norm of ${name}`, norms[bad] as number, session.progress.step);
}

function notFinite(
  { progress, run, savedStep }: Session,
  term: string,
  value: number,
  step = progress.step + 1,
): BatchCamError {
  const good =
    savedStep === null
      ? "there is no checkpoint yet"
      : `the last good checkpoint is ${lastCheckpoint(run.directory)} (step ${savedStep})`;
  return new BatchCamError(
    "E_NUMERIC",
    `step ${step}: ${term} is ${value}; ${good}. Try a smaller value of the option lr, clipGrad or a longer lambdaWarmup`,
  );
}
