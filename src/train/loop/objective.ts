import { expectNumber, objectOf, optionsOf } from "../../arguments.ts";
import { type CamHead, deadMaps } from "../../cam/index.ts";
import { guidanceMaps } from "../../cam/internal.ts";
import { lambdaWarmupOf, type TrainConfig } from "../../config/index.ts";
import { inverseGeometry, warp } from "../../data/index.ts";
import { batchCamLoss, type CamEma, crossEntropy, prototypeLoss } from "../../losses/index.ts";
import { type BaselineInput, baselineLoss, baselineNeeds } from "../../losses/internal.ts";
import type { ClosedFormHead, Model, TappedForward } from "../../models/index.ts";
import { expectModel } from "../../models/internal.ts";
import { pooledWeightOf } from "../../nn/internal.ts";
import { autocast, type CrossEntropyOptions, type Tensor } from "../../tensor/index.ts";
import { expectTensor, phase } from "../../tensor/internal.ts";
import type { Mixed } from "./mixup.ts";

/** The parts of a run that the objective needs. */
export interface Guidance {
  config: TrainConfig;
  camLayer: string;
  /** (C, H, W) */
  prototypes: Tensor;
  /** (C): weight of each class in the cross-entropy; without it all classes weigh the same. */
  classWeights?: Tensor | null;
  /** Present if the prototypes are running averages of the maps. */
  camEma: CamEma | null;
}

/** A step's loss, and separately each of its terms; a term is null if the objective does not have it. */
export interface Terms {
  loss: Tensor;
  logits: Tensor;
  crossEntropy: Tensor;
  prototypeLoss: Tensor | null;
  batchCamLoss: Tensor | null;
  /** The term of a published baseline. */
  baselineLoss: Tensor | null;
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

/** The weight of each term at a step (from 0). */
export function weightsAt(config: TrainConfig, step: number): Record<keyof WeightedTerms, number> {
  const at = (lambda: number) => warmedUp(lambda, step, lambdaWarmupOf(config, Number.POSITIVE_INFINITY));
  const { lambdaPrototype, lambdaBatch, lambdaBaseline } = config;
  return { prototypeLoss: at(lambdaPrototype), batchCamLoss: at(lambdaBatch), baselineLoss: at(lambdaBaseline) };
}

/** The inputs of a step other than its images and labels. */
export interface ObjectiveOptions {
  /** The step, from 0. It decides how far the weights have warmed up. */
  step: number;
  guidance: Guidance;
  /** Whether the network runs under autocast. */
  amp: boolean;
  /** How `augment` moved the images; null if it did not. */
  geometry?: Tensor | null;
  /** A factor for the cross-entropy (1 by default), used if a part of a step weighs more or less than its number of images. */
  crossEntropyScale?: number;
  /** The labels that mixup blended in, and the share of the original image; null without mixup. */
  mixed?: Pick<Mixed, "partners" | "share"> | null;
  /** (B, H, W), 1 where a pixel should not matter; only baselines use it. */
  masks?: Tensor | null;
  /** (B, H, W), 1 where a pixel shows the object; only baselines use it. */
  foreground?: Tensor | null;
}

/**
 * `CE + λ_p·PrototypeLoss + λ_b·BatchCamLoss + λ·baseline`, each λ warmed up. If all weights are zero, it is cross-entropy
 * alone and no map is computed. Maps of images that were moved are mapped back and compared at the original positions. The
 * network runs under autocast if `amp` asks for it; maps and losses are always float32.
 */
export function objective(model: Model, images: Tensor, labels: Tensor, options: ObjectiveOptions): Terms {
  const {
    step,
    guidance,
    amp,
    mixed = null,
    crossEntropyScale: scale = 1,
  } = optionsOf("objective", options, [
    "step",
    "guidance",
    "amp",
    "mixed",
    "crossEntropyScale",
    "masks",
    "geometry",
    "foreground",
  ]);
  const { config } = objectOf("objective: guidance", guidance);
  objectOf("objective: guidance.config", config);
  expectNumber("objective: step", step);
  expectNumber("objective: crossEntropyScale", scale);
  expectModel("objective", model);
  expectTensor(images, "objective: images");
  const needs = baselineNeeds(config.baseline);
  const input = needs.inputGradient ? images.detach().requiresGrad_() : images;
  const mapped = !config.plain || needs.maps;
  const forward = (x: Tensor, layers: readonly string[]) => {
    const run = () => model.forwardWith(x, { taps: layers });
    const { logits, taps }: TappedForward = amp ? autocast({ dtype: "bfloat16" }, run) : run();
    return { logits, taps, scores: logits.to("float32") };
  };
  const source = mapped ? mapSource(model, guidance) : null;
  const { logits, taps, scores } = phase("forward", () => forward(input, source?.layers ?? []));
  const { classWeights: weight } = guidance;
  const weighting = { labelSmoothing: config.labelSmoothing, ...(weight ? { weight } : {}) };
  const unscaled = phase("loss", () => blendedCrossEntropy(scores, labels, { ...weighting, mixed }));
  const crossEntropyTerm = scale === 1 ? unscaled : unscaled.mul(scale);
  const size = images.sizes.slice(-2) as [number, number];
  const made =
    source === null ? NO_MAPS : phase("maps", () => guidedMaps({ source, taps, scores, labels, size }, options));
  const terms = phase("loss", () => {
    const compared = made.maps === null || config.plain ? NO_TERMS : mapTerms(made.maps, labels, guidance);
    const again = (x: Tensor) => forward(x, []).scores;
    const baselineTerm = baselineOf({ images: input, scores, labels, maps: made.seen, forward: again }, options);
    return weighted(crossEntropyTerm, { ...compared, baselineLoss: baselineTerm }, { config, step });
  });
  const { dead, rawMaps } = made;
  return { logits, crossEntropy: crossEntropyTerm, ...terms, dead, rawMaps };
}

/** Cross-entropy against both labels of a mixed image, by their shares. */
function blendedCrossEntropy(
  scores: Tensor,
  labels: Tensor,
  { mixed, ...weighting }: CrossEntropyOptions & Pick<ObjectiveOptions, "mixed">,
): Tensor {
  const own = crossEntropy(scores, labels, weighting);
  if (!mixed) return own;
  return own.mul(mixed.share).add(crossEntropy(scores, mixed.partners, weighting).mul(1 - mixed.share));
}

const NO_MAPS = { maps: null, seen: null, rawMaps: null, dead: null };
const NO_TERMS = { prototypeLoss: null, batchCamLoss: null };

/** The layer whose output the maps are computed from, and the source of their weights. */
interface MapSource {
  camLayer: string;
  head: ClosedFormHead | null;
  layers: readonly string[];
}

function mapSource(model: Model, { camLayer }: Guidance): MapSource {
  const head = camLayer === model.camLayer ? model.closedFormHead() : null;
  return { camLayer, head, layers: head === null ? [camLayer] : [camLayer, head.layer] };
}

interface Mapped {
  source: MapSource;
  taps: TappedForward["taps"];
  scores: Tensor;
  labels: Tensor;
  size: readonly [number, number];
}

/** Maps aligned with the images as the network saw them (`seen`), and with the images before they were moved (`maps`). */
function guidedMaps(
  { source: { camLayer, head }, taps, scores, labels, size }: Mapped,
  { guidance, geometry = null }: ObjectiveOptions,
) {
  const { order, camEps: eps } = guidance.config;
  const closedForm = head === null ? {} : { head: closedFormOf(head, taps[head.layer] as Tensor) };
  const options = { order, size, eps, ...closedForm };
  const { maps: seen, raw: rawMaps } = guidanceMaps(scores, taps[camLayer] as Tensor, labels, options);
  const maps = geometry === null ? seen : broughtBack(seen, geometry);
  guidance.camEma?.update(maps, labels);
  return { maps, seen, rawMaps, dead: deadMaps(rawMaps) };
}

function baselineOf(
  input: Omit<BaselineInput, "masks" | "foreground">,
  { guidance: { config }, masks = null, foreground = null }: ObjectiveOptions,
): Tensor | null {
  if (config.baseline === undefined) return null;
  return baselineLoss(config.baseline, { ...input, masks, foreground });
}

/** Maps of images that were moved, mapped back to the original positions, as the prototypes are. */
const broughtBack = (maps: Tensor, geometry: Tensor): Tensor =>
  warp(maps.unsqueeze(1), inverseGeometry(geometry), "zeros").squeeze(1);

const closedFormOf = (head: ClosedFormHead, output: Tensor): CamHead => ({
  ...head,
  output,
  pooled: pooledWeightOf(output),
});

type WeightedTerms = Pick<Terms, "prototypeLoss" | "batchCamLoss" | "baselineLoss">;

function weighted(
  crossEntropyTerm: Tensor,
  terms: WeightedTerms,
  { config, step }: { config: TrainConfig; step: number },
): WeightedTerms & Pick<Terms, "loss"> {
  const weights = weightsAt(config, step);
  const names = ["prototypeLoss", "batchCamLoss", "baselineLoss"] as const;
  const parts = names.flatMap((name) => terms[name]?.mul(weights[name]) ?? []);
  return { ...terms, loss: parts.reduce((sum, term) => sum.add(term), crossEntropyTerm) };
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
