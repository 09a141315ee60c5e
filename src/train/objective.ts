import { expectNumber, objectOf, optionsOf } from "../arguments.ts";
import { type CamHead, guidanceMaps } from "../cam/batch-cam.ts";
import { deadMaps } from "../cam/index.ts";
import type { TrainConfig } from "../config/index.ts";
import { batchCamLoss, type CamEma, crossEntropy, prototypeLoss } from "../losses/index.ts";
import type { Model, TappedForward } from "../models/index.ts";
import { type ClosedFormHead, expectModel } from "../models/model.ts";
import { pooledWeightOf } from "../nn/flat-linear.ts";
import { phase } from "../profile/index.ts";
import { handleOf } from "../tensor/core.ts";
import { autocast, type Tensor } from "../tensor/index.ts";

/** What the objective needs to know of the run. */
export interface Guidance {
  config: TrainConfig;
  camLayer: string;
  /** (C, H, W) */
  prototypes: Tensor;
  /** Present where the prototypes are running averages of the maps. */
  camEma: CamEma | null;
}

/** A step's loss and, apart, everything it is made of; null where the objective has no such term. */
export interface Terms {
  loss: Tensor;
  logits: Tensor;
  crossEntropy: Tensor;
  prototypeLoss: Tensor | null;
  batchCamLoss: Tensor | null;
  /** (B), bool */
  dead: Tensor | null;
  /** (B, h, w), before normalisation */
  rawMaps: Tensor | null;
}

/** λ at a step (from 0): a linear rise over `warmup` steps to its full value. */
export function warmedUp(lambda: number, step: number, warmup: number): number {
  for (const [name, value] of Object.entries({ lambda, step, warmup })) expectNumber(`warmedUp: ${name}`, value);
  return warmup === 0 ? lambda : lambda * Math.min(1, (step + 1) / warmup);
}

/**
 * `CE + λ_p·PrototypeLoss + λ_b·BatchCamLoss`, each λ warmed up. Without weights it is cross-entropy and no map is made.
 * The network runs under autocast where `amp` asks for it; maps and losses are float32 in any case.
 */
export function objective(
  model: Model,
  images: Tensor,
  labels: Tensor,
  options: { step: number; guidance: Guidance; amp: boolean },
): Terms {
  const { step, guidance, amp } = optionsOf("objective", options);
  const { config, camLayer } = objectOf("objective: guidance", guidance);
  objectOf("objective: guidance.config", config);
  expectNumber("objective: step", step);
  expectModel("objective", model);
  handleOf(images, "objective: images");
  const head = camLayer === model.camLayer ? model.closedFormHead() : null;
  const wanted = head === null ? [camLayer] : [camLayer, head.layer];
  const run = () =>
    config.plain ? { logits: model.forward(images), taps: {} } : model.forwardWith(images, { taps: wanted });
  const forward = () => {
    const { logits, taps }: TappedForward = amp ? autocast({ dtype: "bfloat16" }, run) : run();
    return { logits, taps, scores: logits.to("float32") };
  };
  const { logits, taps, scores } = phase("forward", forward);
  const smoothing = { labelSmoothing: config.labelSmoothing };
  const crossEntropyTerm = phase("loss", () => crossEntropy(scores, labels, smoothing));
  const activations = taps[camLayer];
  if (config.plain || activations === undefined) {
    return {
      loss: crossEntropyTerm,
      logits,
      crossEntropy: crossEntropyTerm,
      prototypeLoss: null,
      batchCamLoss: null,
      dead: null,
      rawMaps: null,
    };
  }
  const closedForm = head === null ? {} : { head: closedFormOf(head, taps[head.layer] as Tensor) };
  const { maps, ...found } = phase("maps", () => {
    const size = images.sizes.slice(-2) as [number, number];
    const options = { order: config.order, size, eps: config.camEps, ...closedForm };
    const { maps, raw: rawMaps } = guidanceMaps(scores, activations, labels, options);
    guidance.camEma?.update(maps, labels);
    return { maps, rawMaps, dead: deadMaps(rawMaps) };
  });
  const guided = phase("loss", () => addMapTerms(crossEntropyTerm, mapTerms(maps, labels, guidance), { config, step }));
  return { logits, crossEntropy: crossEntropyTerm, ...guided, ...found };
}

const closedFormOf = (head: ClosedFormHead, output: Tensor): CamHead => ({
  ...head,
  output,
  pooled: pooledWeightOf(output),
});

function addMapTerms(
  crossEntropyTerm: Tensor,
  terms: Pick<Terms, "prototypeLoss" | "batchCamLoss">,
  { config, step }: { config: TrainConfig; step: number },
): Pick<Terms, "loss" | "prototypeLoss" | "batchCamLoss"> {
  const weighted = [
    [terms.prototypeLoss, config.lambdaPrototype] as const,
    [terms.batchCamLoss, config.lambdaBatch] as const,
  ].flatMap(([term, lambda]) => (term === null ? [] : [term.mul(warmedUp(lambda, step, config.lambdaWarmup))]));
  return { ...terms, loss: weighted.reduce((sum, term) => sum.add(term), crossEntropyTerm) };
}

function mapTerms(
  maps: Tensor,
  labels: Tensor,
  { config, prototypes }: Guidance,
): Pick<Terms, "prototypeLoss" | "batchCamLoss"> {
  const { distance, batchTarget: target, detachBatchMean: detach } = config;
  return {
    prototypeLoss: config.lambdaPrototype > 0 ? prototypeLoss(maps, labels, prototypes, { distance }) : null,
    batchCamLoss: config.lambdaBatch > 0 ? batchCamLoss(maps, labels, { distance, target, prototypes, detach }) : null,
  };
}
