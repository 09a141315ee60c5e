import { gatherBatch } from "../data/index.ts";
import { BatchCamError } from "../errors.ts";
import { clipGradNorm } from "../optim/index.ts";
import { phase } from "../profile/index.ts";
import { channelsLast } from "../tensor/channels-last.ts";
import { backward, noGrad, type Tensor, tidy } from "../tensor/index.ts";
import { normOfEach } from "../tensor/optimizer-ops.ts";
import { lastCheckpoint } from "./checkpoint.ts";
import type { StepMetrics } from "./events.ts";
import { EpochMeans } from "./means.ts";
import { objective, type Terms, warmedUp } from "./objective.ts";
import type { Session } from "./session.ts";

type Metrics = StepMetrics & { accuracy: number };

/**
 * One step of gradient descent, on gradients added up over batches where the config asks for more than one. Everything that
 * it makes is freed when it returns.
 */
export function takeStep(session: Session, indices: Int32Array): Metrics {
  const { config, progress, model, optimizer, weightEma } = session;
  phase("optimizer", () => optimizer.zeroGrad());
  const numbers = accumulate(session, indices);
  const update = () => {
    const gradNorm = clipGradNorm(model.parameters(), config.clipGrad ?? Number.POSITIVE_INFINITY);
    if (!Number.isFinite(gradNorm)) throw notFinite(session, "gradient", gradNorm);
    optimizer.lr = session.rate(progress.step);
    optimizer.step();
    weightEma?.update(model.stateDict(), progress.step);
    return { ...numbers, gradNorm, lr: optimizer.lr };
  };
  return phase("optimizer", () => tidy(update));
}

/** Leaves in `.grad` the gradient of the mean loss over all images, batch by batch. */
function accumulate(session: Session, indices: Int32Array): Omit<Metrics, "gradNorm" | "lr"> {
  const { batchSize } = session.config;
  if (indices.length <= batchSize) return accumulateBatch(session, indices, 1);
  const means = new EpochMeans();
  for (let start = 0; start < indices.length; start += batchSize) {
    const part = indices.subarray(start, start + batchSize);
    means.add({ ...accumulateBatch(session, part, part.length / indices.length), gradNorm: 0, lr: 0 }, part.length);
  }
  return means.means();
}

function accumulateBatch(session: Session, indices: Int32Array, share: number): Omit<Metrics, "gradNorm" | "lr"> {
  const { progress, model, guidance, amp } = session;
  return tidy(() => {
    const { images, labels } = phase("data", () => takeBatch(session, indices));
    const terms = objective(model, images, labels, { step: progress.step, guidance, amp });
    refuseNonFinite(session, {
      crossEntropy: terms.crossEntropy,
      prototypeLoss: terms.prototypeLoss,
      batchCamLoss: terms.batchCamLoss,
    });
    phase("backward", () => backward(share === 1 ? terms.loss : terms.loss.mul(share)));
    return { ...readTerms(terms, session), accuracy: shareCorrect(terms.logits, labels) };
  });
}

function takeBatch(session: Session, indices: Int32Array): ReturnType<typeof gatherBatch> {
  const { images, labels } = gatherBatch(session.train, indices);
  return { images: session.channelsLast ? channelsLast(images) : images, labels };
}

function readTerms(terms: Terms, { config, progress }: Session): Omit<StepMetrics, "gradNorm" | "lr"> {
  const value = (term: Tensor | null) => (term === null ? null : term.item());
  return {
    loss: terms.loss.item(),
    crossEntropy: terms.crossEntropy.item(),
    prototypeLoss: value(terms.prototypeLoss),
    batchCamLoss: value(terms.batchCamLoss),
    lambdaPrototype: warmedUp(config.lambdaPrototype, progress.step, config.lambdaWarmup),
    lambdaBatch: warmedUp(config.lambdaBatch, progress.step, config.lambdaWarmup),
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

/** Fails where a weight is not finite: what is saved, judged or called good never holds such a one. */
export function refuseNonFiniteWeights(session: Session): void {
  const named = [...session.model.namedParameters()];
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
    `step ${step}: ${term} is ${value}; ${good}. Try a smaller --lr, --clip-grad or a longer --lambda-warmup`,
  );
}
