import { BatchCamError } from "../errors.ts";
import type { Module } from "../nn/index.ts";
import { enableGrad, type Tensor, tidy, zerosLike } from "../tensor/index.ts";
import { withGuidedRelu } from "../tensor/rectifier.ts";
import { gaussLegendre } from "./gauss-legendre.ts";
import { noiseLike } from "./noise.ts";
import { type Pass, scoreGradient } from "./pass.ts";
import { logitsFor, recordedForward } from "./recorded-forward.ts";
import type { ImageOptions } from "./settings.ts";
import { single } from "./single.ts";

/** ∂(Σ_b score_b) / ∂x at `x`, of its shape. */
function inputGradient(model: Module, x: Tensor, { target, createGraph }: ImageOptions): Tensor {
  return enableGrad(() => {
    const images = x.detach().requiresGrad_();
    const logits = recordedForward(model, createGraph, () => logitsFor(model, images));
    const score = target.score(logits).sum();
    return single(scoreGradient(score, [images], createGraph)[0] as Tensor);
  });
}

const strongest = (gradient: Tensor) => gradient.abs().amax([1]); // (B, C, H, W) → (B, H, W)

/** Saliency: max over the image's channels of |∂score / ∂x|, (B, H, W). Simonyan et al. 2013, arXiv 1312.6034. */
export function saliency({ model, x }: Pass, options: ImageOptions): Tensor {
  return strongest(inputGradient(model, x, options));
}

/**
 * SmoothGrad: max over channels of |mean over noisy copies of ∂score / ∂x|, with normal noise of deviation 0.15 (max x − min x) of
 * the image, or as given; the draws are the same for every image (`noiseLike`). Smilkov et al. 2017, arXiv 1706.03825.
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
 * Integrated gradients: Σ over channels of (x − x₀) ⊙ ∫₀¹ ∂score / ∂x (x₀ + t (x − x₀)) dt, (B, H, W), signed: its sum over the
 * image is score(x) − score(x₀). The integral by Gauss-Legendre quadrature on `steps` points, as captum's default. Sundararajan
 * et al. 2017, arXiv 1703.01365.
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
  return single(path)
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
 * Guided backpropagation: max over channels of |∂score / ∂x| where each ReLU lets a gradient pass only if it and the ReLU's
 * input are positive. Springenberg et al. 2014, arXiv 1412.6806. It hardly depends on the class: a baseline, no explanation.
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
