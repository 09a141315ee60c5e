import { BatchCamError } from "../errors.ts";
import type { Module } from "../nn/index.ts";
import { enableGrad, randn, type Tensor, tidy, zerosLike } from "../tensor/index.ts";
import { isTensor, OwnGenerator, upcastHalf, withGuidedRelu } from "../tensor/internal.ts";
import type { ImageOptions } from "./options.ts";
import type { Pass } from "./pass.ts";
import { logitsFor, recordedForward } from "./recorded-forward.ts";
import { scoreGradient } from "./targets.ts";

/** ∂(Σ_b score_b) / ∂x at `x`, of its shape. */
function inputGradient(model: Module, x: Tensor, { target, createGraph }: ImageOptions): Tensor {
  return enableGrad(() => {
    const images = x.detach().requiresGrad_();
    const logits = recordedForward(model, createGraph, () => logitsFor(model, images));
    const score = target.score(logits).sum();
    return upcastHalf(scoreGradient(score, [images], createGraph)[0] as Tensor);
  });
}

const strongest = (gradient: Tensor) => gradient.abs().amax([1]); // (B, C, H, W) → (B, H, W)

/** Saliency: max over the image's channels of |∂score / ∂x|, (B, H, W). Simonyan et al. 2013, arXiv 1312.6034. */
export function saliency({ model, x }: Pass, options: ImageOptions): Tensor {
  return strongest(inputGradient(model, x, options));
}

/**
 * SmoothGrad: max over channels of |mean over noisy copies of ∂score / ∂x|. The noise is normal, with standard deviation 0.15 (max x −
 * min x) of the image unless it is given; the draws are the same for every image (`noiseLike`). Smilkov et al. 2017, arXiv 1706.03825.
 */
export function smoothGrad({ model, x }: Pass, options: ImageOptions): Tensor {
  const range = x.amax([1, 2, 3], { keepDims: true }).sub(x.amin([1, 2, 3], { keepDims: true }));
  const copies = noiseLike(x, { samples: 25, deviation: range.mul(0.15), ...options.settings });
  const sum = copies
    .map((offset) => tidy(() => inputGradient(model, x.add(offset), options)))
    .reduce((total, gradient) => total.add(gradient));
  return strongest(sum.div(copies.length));
}

/**
 * Integrated gradients: Σ over channels of (x − x₀) ⊙ ∫₀¹ ∂score / ∂x (x₀ + t (x − x₀)) dt, (B, H, W), signed. Its sum over the image is
 * score(x) − score(x₀). The integral is computed by Gauss-Legendre quadrature with `steps` points, captum's default. Sundararajan et al.
 * 2017, arXiv 1703.01365.
 */
export function integratedGradients({ model, x }: Pass, options: ImageOptions): Tensor {
  const { steps = 50, baseline } = options.settings;
  const start = baselineOf(x, baseline);
  const path = x.sub(start);
  let integral: Tensor | undefined;
  for (const { point, weight } of gaussLegendre(steps)) {
    const gradient = inputGradient(model, start.add(path.mul(point)), options).mul(weight);
    integral = integral?.add(gradient) ?? gradient;
  }
  return upcastHalf(path)
    .mul(integral as Tensor)
    .sum([1]);
}

function baselineOf(x: Tensor, baseline: Tensor | undefined): Tensor {
  if (baseline === undefined) return zerosLike(x);
  try {
    return baseline.detach().to(x.dtype).expand(x.sizes);
  } catch (cause) {
    const got = baseline instanceof Object && "shape" in baseline ? `[${baseline.shape.join(", ")}]` : String(baseline);
    throw new BatchCamError("E_SHAPE", `explain: baseline must broadcast to x [${x.shape.join(", ")}], got ${got}`, {
      cause,
    });
  }
}

/**
 * Guided backpropagation: max over channels of |∂score / ∂x| where each ReLU lets a gradient pass only if it and the ReLU's input are
 * positive. Springenberg et al. 2014, arXiv 1412.6806. It hardly depends on the class, so it serves as a baseline rather than as an
 * explanation.
 *
 * @throws E_CONFIG for a model without a ReLU
 */
export function guidedBackprop({ model, x }: Pass, options: ImageOptions): Tensor {
  const { result, rectifiers } = withGuidedRelu(() => inputGradient(model, x, options));
  if (rectifiers > 0) return strongest(result);
  throw new BatchCamError(
    "E_CONFIG",
    "explain: GuidedBackprop changes the gradient of ReLUs, and this model has none: use Saliency or SmoothGrad",
  );
}

/** A point of [0, 1] and its weight in a sum that approximates an integral. */
export interface Node {
  readonly point: number;
  readonly weight: number;
}

/**
 * Gauss-Legendre quadrature on [0, 1] with n points, exact for polynomials of degree 2n − 1: roots of the Legendre polynomial
 * P_n by Newton's method.
 */
export function gaussLegendre(n: number): Node[] {
  return Array.from({ length: n }, (_, i) => {
    let root = Math.cos((Math.PI * (i + 0.75)) / (n + 0.5));
    let slope = 1;
    for (let iteration = 0; iteration < 100; iteration++) {
      const { value, derivative } = legendre(n, root);
      slope = derivative;
      const step = value / derivative;
      root -= step;
      if (Math.abs(step) < 1e-16) break;
    }
    return { point: (1 - root) / 2, weight: 1 / ((1 - root * root) * slope * slope) };
  });
}

/** P_n and its derivative at z, by the three-term recurrence. */
function legendre(n: number, z: number): { value: number; derivative: number } {
  let [before, value] = [1, z];
  for (let k = 2; k <= n; k++) [before, value] = [value, ((2 * k - 1) * z * value - (k - 1) * before) / k];
  return { value, derivative: (n * (z * value - before)) / (z * z - 1) };
}

export interface NoiseOptions {
  /** The number of copies. It is used only if the noise itself is not given. */
  samples: number;
  /** Standard deviation of the normal noise: a number, or a tensor that broadcasts to x. */
  deviation: number | Tensor;
  /** A standard deviation to use instead of `deviation`, or the noise itself (n, ...x). */
  noise?: number | Tensor;
  seed?: number;
}

/**
 * The offsets of noisy copies of x, one by one; each is broadcast over the batch unless the deviation has a value for each image.
 *
 * The draws depend only on the seed and on the size of one image, so that every image gets the same ones. The map of an image is
 * therefore the same in any batch and at any position, and it changes smoothly with the image. Draws that depended on the image's values
 * would differ even for almost equal images. The state of the engine's random generator does not change.
 *
 * @throws E_SHAPE if the given noise does not fit x
 */
export function noiseLike(x: Tensor, { samples, deviation, noise, seed = 0 }: NoiseOptions): Tensor[] {
  if (isTensor(noise)) return givenNoise(x, noise as Tensor);
  const size = x.sizes.slice(1);
  using generator = new OwnGenerator("explain", seed);
  const copies = generator.draw(() => Array.from({ length: samples }, () => randn([1, ...size])));
  return copies.map((copy) => copy.to(x.dtype).mul(noise ?? deviation));
}

function givenNoise(x: Tensor, noise: Tensor): Tensor[] {
  if (noise.ndim === x.ndim + 1 && noise.sizes.slice(1).join() === x.sizes.join() && noise.numel > 0)
    return noise.to(x.dtype).unbind(0);
  const expected = `[copies, ${x.shape.join(", ")}]`;
  throw new BatchCamError("E_SHAPE", `explain: noise must be ${expected}, got [${noise.shape.join(", ")}]`);
}
