import { describeValue } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { type Registry, registryOf } from "../registry.ts";
import { grad, logSoftmax, noGrad, rand, type Tensor, zeros } from "../tensor/index.ts";
import { BASELINES, type BaselineDescription, type BaselineName } from "./description.ts";

/** The input that a training step gives to a baseline. */
export interface BaselineInput {
  /** (B, C, H, W), normalised; a leaf that requires gradients if the baseline differentiates with respect to them. */
  images: Tensor;
  /** (B, C), float32, computed from `images` with their graph */
  scores: Tensor;
  /** (B), int64 */
  labels: Tensor;
  /** (B, H, W), 1 at pixels that should not affect the prediction */
  masks: Tensor | null;
  /** (B, H, W) in [0, 1]: Grad-CAM maps of the true classes, with their graph */
  maps: Tensor | null;
  /** (B, H, W), 1 at pixels of the object */
  foreground: Tensor | null;
  /** Returns the scores of other images by the same model. */
  forward: (images: Tensor) => Tensor;
}

/** A published method of guided training, which the same trainer can run for comparison. */
export interface Baseline extends BaselineDescription {
  /** The method's term of the loss, a scalar that is not yet multiplied by its weight. */
  term(input: BaselineInput): Tensor;
}

/** The parts that a step without a baseline needs. */
const NOTHING: BaselineDescription["needs"] = { masks: false, maps: false, inputGradient: false };

/** The parts of a step that a baseline needs; none if there is no baseline. */
export function baselineNeeds(name: string | undefined): BaselineDescription["needs"] {
  return baselineRegistry.find(name)?.needs ?? NOTHING;
}

/**
 * The term that a baseline adds to the cross-entropy: a scalar that is not yet multiplied by its weight.
 *
 * - `rrr`: right for the right reasons, `mean_b Σ (A_b ⊙ ∂/∂x_b Σ_c log p_c)²`, A the mask of the pixels that should not matter and x the
 *   normalised image (Ross, Hughes and Doshi-Velez, arXiv 1703.03717)
 * - `rrr-g`: the same penalty on Grad-CAM maps, `mean_b Σ (A_b ⊙ M_b)² / Σ A_b` (Schramowski et al., arXiv 2001.05371)
 * - `hint`: a reward for maps on the object, `mean_b Σ (R_b ⊙ (1 − M_b))² / Σ R_b`, R the object's pixels outside of A (after Selvaraju
 *   et al., arXiv 1902.03751, in the form of the XIL typology, Friedrich et al. 2023)
 * - `saliency-guided`: `KL(p(x) ‖ p(x̃))`, x̃ the image in which the less salient half of the pixels is replaced by random
 *   values between its smallest and its largest value; saliency is |∂s_y/∂x| without a graph (Ismail et al., arXiv 2111.14338)
 *
 * All except the last use annotations, which the losses of Batch-CAM do not need.
 *
 * @throws E_ARGUMENT for an unknown name, with the nearest known one, or if the step lacks a part that the baseline needs
 */
export function baselineLoss(name: BaselineName, input: BaselineInput): Tensor {
  return baselineLossOf(baselineRegistry, name, input);
}

/** `baselineLoss` with a registry of baselines. */
export function baselineLossOf(known: Registry<Baseline>, name: string, input: BaselineInput): Tensor {
  const baseline = known.find(name);
  if (baseline === undefined) {
    const problem = `unknown baseline ${describeValue(name)}${known.hint(name)}; known: ${known.names.join(", ")}`;
    throw new BatchCamError("E_ARGUMENT", `baselineLoss: ${problem}`);
  }
  for (const part of ["masks", "maps"] as const)
    if (baseline.needs[part] && input[part] === null)
      throw new BatchCamError("E_ARGUMENT", `baselineLoss: ${name} needs ${part}`);
  return baseline.term(input);
}

const TERMS: Readonly<Record<BaselineName, Baseline["term"]>> = {
  rrr({ images, scores, masks }) {
    const [slope] = grad(logSoftmax(scores, 1).sum(), images, { createGraph: true }) as [Tensor];
    return slope
      .mul((masks as Tensor).unsqueeze(1))
      .square()
      .flatten(1)
      .sum(1)
      .mean();
  },
  "rrr-g": ({ masks, maps }) => onRegion((maps as Tensor).square(), masks as Tensor),
  hint({ masks, maps, foreground }) {
    const region = (foreground as Tensor).mul((masks as Tensor).neg().add(1));
    return onRegion((maps as Tensor).neg().add(1).square(), region);
  },
  "saliency-guided"({ images, scores, labels, forward }) {
    const salient = saliency(images, scores, labels);
    const masked = noGrad(() => withoutLessSalient(images, salient));
    const [own, other] = [logSoftmax(scores, 1), logSoftmax(forward(masked), 1)];
    return own.exp().mul(own.sub(other)).sum(1).mean();
  },
};

const baselineRegistry: Registry<Baseline> = registryOf(
  BASELINES.map((baseline) => ({ ...baseline, term: TERMS[baseline.name] })),
);

/** Mean over images of the mean over a region's pixels. An image without a region contributes 0. */
const onRegion = (values: Tensor, region: Tensor): Tensor =>
  values.mul(region).flatten(1).sum(1).div(region.flatten(1).sum(1).clamp(1, Number.POSITIVE_INFINITY)).mean();

/** (B, H, W): |∂s_y/∂x|, summed over channels. */
function saliency(images: Tensor, scores: Tensor, labels: Tensor): Tensor {
  const own = scores.gather(1, labels.unsqueeze(1)).sum();
  return (grad(own, images, { retainGraph: true })[0] as Tensor).detach().abs().sum([1]);
}

/**
 * Images in which the less salient half of the pixels is replaced by random values between the image's smallest and largest
 * value.
 */
function withoutLessSalient(images: Tensor, salient: Tensor): Tensor {
  const [batch = 0, channels = 0, height = 0, width = 0] = images.sizes;
  const pixels = height * width;
  const { indices: least } = salient
    .flatten(1)
    .neg()
    .topk(Math.floor(pixels / 2), 1);
  const hidden = zeros([batch, pixels]).scatter(1, least, 1).view([batch, 1, height, width]);
  const [low, high] = [images.amin([1, 2, 3], { keepDims: true }), images.amax([1, 2, 3], { keepDims: true })];
  const noise = rand([batch, channels, height, width]).mul(high.sub(low)).add(low);
  return images.detach().mul(hidden.neg().add(1)).add(noise.mul(hidden));
}
