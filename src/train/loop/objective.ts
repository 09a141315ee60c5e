import { expectNumber, objectOf, optionsOf } from "../../arguments.ts";
import type { CamHead, ReshapeTransform } from "../../cam/index.ts";
import { guidanceMaps } from "../../cam/internal.ts";
import { lambdaWarmupOf, type TrainConfig } from "../../config/index.ts";
import { inverseGeometry, warp } from "../../data/index.ts";
import {
  batchCamLoss,
  type CamEma,
  crossEntropy,
  type Distance,
  distanceOf,
  prototypeLoss,
} from "../../losses/index.ts";
import { baselineLoss, baselineNeeds } from "../../losses/internal.ts";
import { type ClosedFormHead, Model, type TappedForward } from "../../models/index.ts";
import { expectModule, traitsOf } from "../../models/internal.ts";
import type { Module } from "../../nn/index.ts";
import { pooledWeightOf, withSecondDerivatives } from "../../nn/internal.ts";
import { autocast, type CrossEntropyOptions, cat, type Tensor } from "../../tensor/index.ts";
import { expectTensor, phase } from "../../tensor/internal.ts";
import { type ExtraLosses, extraTerms } from "./extra-losses.ts";
import { everyOf, guidedCount, isGuidedStep } from "./guided-steps.ts";
import type { Mixed } from "./mixup.ts";

/** The parts of a run that the objective needs. */
export interface Guidance {
  config: TrainConfig;
  camLayer: string;
  /** (C, H, W) */
  prototypes: Tensor;
  /** (C): weight of each class in the cross-entropy; without it all classes weigh the same. */
  classWeights?: Tensor | null;
  /** The running averages of the maps; present if they are used as prototypes. */
  camEma: CamEma | null;
  /** The fewest images of a forward pass (1 by default), which a part of a batch must have too. */
  smallestBatch?: number;
}

/** The loss of a step, and each of its terms. A term is null if the objective does not have it, or not at this step. */
export interface Terms {
  loss: Tensor;
  logits: Tensor;
  crossEntropy: Tensor;
  prototypeLoss: Tensor | null;
  batchCamLoss: Tensor | null;
  /** The term of a published baseline. */
  baselineLoss: Tensor | null;
  /** The terms that a program adds, by their names. */
  extra: Readonly<Record<string, Tensor>>;
  /** (G), bool: of the guided images, the first G of the batch */
  dead: Tensor | null;
  /** (G, h, w), before normalisation */
  rawMaps: Tensor | null;
}

/** λ at a step (from 0): a linear rise over `warmup` steps to its full value. */
export function warmedUp(lambda: number, step: number, warmup: number): number {
  for (const [name, value] of Object.entries({ lambda, step, warmup })) expectNumber(`warmedUp: ${name}`, value);
  return warmup === 0 ? lambda : lambda * Math.min(1, (step + 1) / warmup);
}

/** The parts of the objective that a config asks for, decided once for all steps of a run. */
export interface ObjectivePlan extends Guidance {
  /** The steps over which the weights of the terms rise. */
  readonly warmup: number;
  readonly distance: Distance;
  /** Whether the baseline differentiates with respect to the images. */
  readonly inputGradient: boolean;
  /** Whether the baseline's term depends on that gradient, so that the network is differentiated twice. */
  readonly secondDerivative: boolean;
  /** The source of the maps; null if no term needs maps. */
  readonly source: MapSource | null;
  readonly crossEntropy: CrossEntropyOptions;
}

/** @throws E_ARGUMENT for an unknown distance */
export function planOf(model: Module, guidance: Guidance): ObjectivePlan {
  const { config, classWeights: weight } = guidance;
  const needs = baselineNeeds(config.baseline);
  return {
    ...guidance,
    warmup: lambdaWarmupOf(config, Number.POSITIVE_INFINITY),
    distance: distanceOf(config.distance, "objective"),
    inputGradient: needs.inputGradient,
    secondDerivative: needs.secondDerivative === true,
    source: config.plain && !needs.maps ? null : mapSource(model, guidance),
    crossEntropy: { labelSmoothing: config.labelSmoothing, ...(weight ? { weight } : {}) },
  };
}

/** The weight of each term at a step (from 0), as a mean over guided and other steps. */
export function meanWeightsAt({ config, warmup }: ObjectivePlan, step: number): Record<keyof WeightedTerms, number> {
  const at = (lambda: number) => warmedUp(lambda, step, warmup);
  const { lambdaPrototype, lambdaBatch, lambdaBaseline } = config;
  return { prototypeLoss: at(lambdaPrototype), batchCamLoss: at(lambdaBatch), baselineLoss: at(lambdaBaseline) };
}

/** The weight of each term in the loss of a step (from 0): a multiple of the mean weight at guided steps, and 0 at the others. */
export function weightsAt(plan: ObjectivePlan, step: number): Record<keyof WeightedTerms, number> {
  const every = everyOf(plan.config);
  const factor = isGuidedStep(step, every) ? every : 0;
  const { prototypeLoss, batchCamLoss, baselineLoss } = meanWeightsAt(plan, step);
  return {
    prototypeLoss: prototypeLoss * factor,
    batchCamLoss: batchCamLoss * factor,
    baselineLoss: baselineLoss * factor,
  };
}

/** The inputs of a step other than its images and labels. */
export interface ObjectiveOptions {
  /** The step, from 0. It decides how far the weights have warmed up. */
  step: number;
  guidance: Guidance;
  /** Whether the network runs under autocast. */
  amp: boolean;
  /** The geometry by which `augment` moved the images; null if it did not move them. */
  geometry?: Tensor | null;
  /** A factor of the cross-entropy (1 by default), for parts of a step whose weight differs from their share of the images. */
  crossEntropyScale?: number;
  /** The labels that mixup blended in, and the share of the original image; null without mixup. */
  mixed?: Pick<Mixed, "partners" | "share"> | null;
  /** (B, H, W), 1 at pixels that should not affect the prediction; only baselines use it. */
  masks?: Tensor | null;
  /** (B, H, W), 1 at pixels of the object; only baselines use it. */
  foreground?: Tensor | null;
  /** Terms that are added to the loss as they are, and the epoch, from 1, that they are told. */
  losses?: ExtraLosses;
  epoch?: number;
}

/**
 * `CE + λ_p·PrototypeLoss + λ_b·BatchCamLoss + λ·baseline + losses`, each λ warmed up. If all weights are zero, no map is
 * computed. Maps of images that were moved are mapped back and compared at the original positions. The
 * network runs under autocast if `amp` asks for it; maps and losses are always float32.
 *
 * With `guideEvery` k in the config, the step decides: the steps k − 1, 2k − 1 ... have the terms of the guidance with k times their
 * weights, and the others have the cross-entropy alone. With `guideShare`, only the first images of the batch have maps, and those terms
 * are means over them; they and the other images then run through the network one after the other.
 */
export function objective(model: Module, images: Tensor, labels: Tensor, options: ObjectiveOptions): Terms {
  const { guidance, ...inputs } = optionsOf("objective", options, [
    "step",
    "guidance",
    "amp",
    "mixed",
    "crossEntropyScale",
    "masks",
    "geometry",
    "foreground",
    "losses",
    "epoch",
  ]);
  objectOf("objective: guidance.config", objectOf("objective: guidance", guidance).config);
  expectNumber("objective: step", inputs.step);
  expectNumber("objective: crossEntropyScale", inputs.crossEntropyScale ?? 1);
  expectModule("objective", model);
  expectTensor(images, "objective: images");
  return termsOf(planOf(model, guidance), model, { images, labels, ...inputs });
}

/** The inputs of a step that follows a plan. */
export type StepInputs = { images: Tensor; labels: Tensor } & Omit<ObjectiveOptions, "guidance">;

/** `objective` of a run, whose arguments were checked when the run began. */
export function termsOf(plan: ObjectivePlan, model: Module, inputs: StepInputs): Terms {
  const { labels, step, mixed = null, crossEntropyScale: scale = 1, losses = NO_LOSSES, epoch = 1 } = inputs;
  const guided = isGuidedStep(step, everyOf(plan.config));
  const pass = phase("forward", () => forwardPass(plan, model, inputs, guided));
  const { scores, own } = pass;
  const unscaled = phase("loss", () => blendedCrossEntropy(scores, labels, { ...plan.crossEntropy, mixed }));
  const crossEntropyTerm = scale === 1 ? unscaled : unscaled.mul(scale);
  const source = guided ? plan.source : null;
  const made = source === null ? NO_MAPS : phase("maps", () => guidedMaps(plan, source, own));
  const terms = phase("loss", () => {
    const compared = made.maps === null || plan.config.plain ? NO_TERMS : mapTerms(made.maps, own.labels, plan);
    const again = (x: Tensor) => forwardOf(model, x, { amp: inputs.amp, twice: plan.secondDerivative }).scores;
    const seen = { ...own, maps: made.seen, forward: again };
    const baseline = guided ? plan.config.baseline : undefined;
    const baselineTerm = baseline === undefined ? null : baselineLoss(baseline, seen);
    return weighted(crossEntropyTerm, { ...compared, baselineLoss: baselineTerm }, weightsAt(plan, step));
  });
  const seen = { images: pass.images, labels, logits: scores, maps: made.seen, taps: own.taps };
  const extra =
    losses.size === 0 ? {} : phase("loss", () => extraTerms(losses, { ...seen, model, step: step + 1, epoch }));
  const loss = Object.values(extra).reduce((sum, term) => sum.add(term), terms.loss);
  const { dead, rawMaps } = made;
  return { logits: pass.logits, crossEntropy: crossEntropyTerm, ...terms, extra, loss, dead, rawMaps };
}

/** The images of a step that are guided, with everything that the terms of the guidance need. */
interface GuidedImages {
  images: Tensor;
  labels: Tensor;
  scores: Tensor;
  taps: TappedForward["taps"];
  geometry: Tensor | null;
  masks: Tensor | null;
  foreground: Tensor | null;
}

interface ForwardPass {
  /** (B, C, H, W): as the network received them. */
  images: Tensor;
  /** (B, classes), in the precision of the network, and in float32. */
  logits: Tensor;
  scores: Tensor;
  /** The guided images: the whole batch, or the first part of it. Without guidance it is the whole batch. */
  own: GuidedImages;
}

/** @param options `twice`: whether the pass is differentiated twice, down to the images */
function forwardOf(
  model: Module,
  images: Tensor,
  { amp, layers = [], twice = false }: { amp: boolean; layers?: readonly string[]; twice?: boolean },
) {
  const pass = () => model.forwardWith(images, { taps: layers });
  const run = twice ? () => withSecondDerivatives(pass) : pass;
  const { logits, taps }: TappedForward = amp ? autocast({ dtype: "bfloat16" }, run) : run();
  return { logits, taps, scores: logits.to("float32") };
}

/** Runs the network on a batch: in one pass, or first on the guided images, with taps, and then on the others. */
function forwardPass(plan: ObjectivePlan, model: Module, inputs: StepInputs, guided: boolean): ForwardPass {
  const { images: given, labels, amp, geometry = null, masks = null, foreground = null } = inputs;
  const input = (part: Tensor) => (guided && plan.inputGradient ? part.detach().requiresGrad_() : part);
  const layers = guided ? (plan.source?.layers ?? []) : [];
  const options = { amp, layers, twice: guided && plan.secondDerivative };
  const [batch = 0] = given.sizes;
  const count = guided && isSplit(plan) ? guidedCount(batch, plan) : batch;
  const rest = batch - count;
  if (rest === 0) {
    const images = input(given);
    const { logits, taps, scores } = forwardOf(model, images, options);
    return { images, logits, scores, own: { images, labels, scores, taps, geometry, masks, foreground } };
  }
  const first = (tensor: Tensor) => tensor.narrow(0, 0, count);
  const firstOf = (tensor: Tensor | null) => (tensor === null ? null : first(tensor));
  const guidedImages = input(first(given));
  const own = forwardOf(model, guidedImages, options);
  const others = forwardOf(model, given.narrow(0, count, rest), { amp });
  const parts = { geometry: firstOf(geometry), masks: firstOf(masks), foreground: firstOf(foreground) };
  return {
    images: given,
    logits: cat([own.logits, others.logits]),
    scores: cat([own.scores, others.scores]),
    own: { images: guidedImages, labels: first(labels), scores: own.scores, taps: own.taps, ...parts },
  };
}

/** Whether a part of each batch is guided, and there is something to guide it by. */
const isSplit = ({ config, source }: ObjectivePlan): boolean =>
  config.guideShare < 1 && (source !== null || config.baseline !== undefined);

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
const NO_LOSSES: ExtraLosses = new Map();
const NO_TERMS = { prototypeLoss: null, batchCamLoss: null };

/** The layer whose output the maps are computed from, and the source of their weights. */
interface MapSource {
  camLayer: string;
  head: ClosedFormHead | null;
  layers: readonly string[];
  /** Takes the output to maps, if the layer gives tokens or channels last. */
  reshapeTransform: ReshapeTransform | undefined;
}

/** The head that gives the weights of a layer's maps in closed form; null if none does. */
export const closedFormAt = (model: Module, camLayer: string): ClosedFormHead | null =>
  model instanceof Model && camLayer === model.camLayer ? model.closedFormHead() : null;

function mapSource(model: Module, { camLayer }: Guidance): MapSource {
  const head = closedFormAt(model, camLayer);
  const layers = head === null ? [camLayer] : [camLayer, head.layer];
  return { camLayer, head, layers, reshapeTransform: traitsOf(model).reshapeTransformOf(camLayer) };
}

/** Maps aligned with the augmented images that the network received (`seen`), and with the images before they were moved (`maps`). */
function guidedMaps(
  plan: ObjectivePlan,
  { camLayer, head, reshapeTransform }: MapSource,
  { images, labels, taps, scores, geometry }: GuidedImages,
) {
  const { order, camEps: eps } = plan.config;
  const size = images.sizes.slice(-2) as [number, number];
  const closedForm = head === null ? {} : { head: closedFormOf(head, taps[head.layer] as Tensor) };
  const reshape = reshapeTransform === undefined ? {} : { reshapeTransform };
  const options = { order, size, eps, ...closedForm, ...reshape };
  const { maps: seen, raw: rawMaps, dead } = guidanceMaps(scores, taps[camLayer] as Tensor, labels, options);
  const maps = geometry === null ? seen : broughtBack(seen, geometry);
  plan.camEma?.update(maps, labels);
  return { maps, seen, rawMaps, dead };
}

/** Maps the maps of augmented images back to the original positions, in which they can be compared with the prototypes. */
const broughtBack = (maps: Tensor, geometry: Tensor): Tensor =>
  warp(maps.unsqueeze(1), inverseGeometry(geometry), "zeros").squeeze(1);

/** The head with the output of its layer in one forward pass. */
export const closedFormOf = (head: ClosedFormHead, output: Tensor): CamHead => ({
  ...head,
  output,
  pooled: pooledWeightOf(output),
});

type WeightedTerms = Pick<Terms, "prototypeLoss" | "batchCamLoss" | "baselineLoss">;

function weighted(
  crossEntropyTerm: Tensor,
  terms: WeightedTerms,
  weights: Readonly<Record<keyof WeightedTerms, number>>,
): WeightedTerms & Pick<Terms, "loss"> {
  const names = ["prototypeLoss", "batchCamLoss", "baselineLoss"] as const;
  const parts = names.flatMap((name) => terms[name]?.mul(weights[name]) ?? []);
  return { ...terms, loss: parts.reduce((sum, term) => sum.add(term), crossEntropyTerm) };
}

function mapTerms(
  maps: Tensor,
  labels: Tensor,
  { config, prototypes, distance }: ObjectivePlan,
): Pick<Terms, "prototypeLoss" | "batchCamLoss"> {
  const { batchTarget: target, detachBatchMean: detach } = config;
  return {
    prototypeLoss: config.lambdaPrototype > 0 ? prototypeLoss(maps, labels, prototypes, { distance }) : null,
    batchCamLoss: config.lambdaBatch > 0 ? batchCamLoss(maps, labels, { distance, target, prototypes, detach }) : null,
  };
}
