import { interpolate, noGrad, onesLike, type Tensor } from "../tensor/index.ts";
import { channelScores, chunkSize } from "./chunks.ts";
import type { Convention } from "./convention.ts";
import type { Terms } from "./gradient-methods.ts";
import type { Pass, TargetLayer } from "./pass.ts";
import { logitsFor } from "./recorded-forward.ts";
import type { ProbingOptions } from "./settings.ts";
import { single } from "./single.ts";

/**
 * Score-CAM: M = ReLU(Σ_k α_k A_k), α = softmax over k of the score of x ⊙ H_k, H_k the channel A_k resized to the image and
 * scaled to [0, 1] by (H − min) / (max − min + 1e-8 r), r the largest range among the image's channels. Wang et al. 2020,
 * arXiv 1910.01279.
 *
 * The channels are resized corner to corner, as in pytorch-grad-cam; in torch-cam's convention they are scaled first and then
 * resized between half pixels. Both libraries add 1e-8 itself to the range, and so do their conventions here. The B·K masked
 * images run in chunks.
 */
export function scoreCam(pass: Pass, layer: TargetLayer, { target, settings, convention }: ProbingOptions): Terms {
  const activations = single(layer.activations).detach();
  const [batch, channels, height, width] = activations.sizes as [number, number, number, number];
  const flat = activations.reshape([batch * channels, height, width]);
  const eps = epsOf(activations, convention); // (B, 1, 1)
  const size = chunkSize(pass.model, pass.x, settings);
  const imageSize = pass.x.sizes.slice(2) as [number, number];
  const scores = channelScores({ batch, channels, size, target }, (pairs) => {
    const own = flat.indexSelect(0, pairs.samples.mul(channels).add(pairs.channels)); // (n, h, w)
    const masks = masksOf(own, eps.indexSelect(0, pairs.samples), { size: imageSize, convention });
    const images = pass.x.indexSelect(0, pairs.samples).mul(masks.unsqueeze(1).to(pass.x.dtype));
    return noGrad(() => logitsFor(pass.model, images));
  });
  return { weights: scores.softmax(1) };
}

/** What is added to the ranges of a sample's channels: (B, 1, 1). It is a share of the largest one, so that the unit of A does not matter. */
function epsOf(activations: Tensor, convention: Convention): Tensor {
  const ranges = activations.amax([2, 3]).sub(activations.amin([2, 3])); // (B, K)
  const unit = convention === "batch-cam" ? ranges.amax([1]) : onesLike(ranges.select(1, 0));
  return unit.mul(1e-8).view([-1, 1, 1]);
}

interface MaskOptions {
  size: readonly [number, number];
  convention: Convention;
}

function masksOf(channels: Tensor, eps: Tensor, { size, convention }: MaskOptions): Tensor {
  if (convention === "torch-cam") return interpolate(scaled(channels, eps), { size });
  return scaled(interpolate(channels, { size, alignCorners: true }), eps);
}

/** Maps (n, H, W) in [0, 1]; a constant one is zero. */
function scaled(maps: Tensor, eps: Tensor): Tensor {
  const shifted = maps.sub(maps.amin([1, 2], { keepDims: true }));
  const range = shifted.amax([1, 2], { keepDims: true });
  const none = range.eq(0);
  return shifted.div(range.add(eps).maskedFill(none, 1));
}
