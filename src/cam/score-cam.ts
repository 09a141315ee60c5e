import { cat, interpolate, noGrad, type Tensor, tidy } from "../tensor/index.ts";
import { chunkSize, pairsOf } from "./chunks.ts";
import type { Convention } from "./convention.ts";
import type { Terms } from "./gradient-methods.ts";
import type { Pass, TargetLayer } from "./pass.ts";
import type { ProbingOptions } from "./settings.ts";
import { single } from "./single.ts";

/**
 * Score-CAM: M = ReLU(Σ_k α_k A_k), α = softmax over k of the score of x ⊙ H_k, H_k the channel A_k resized to the image and
 * scaled to [0, 1] by (H − min) / (max − min + 1e-8). Wang et al. 2020, arXiv 1910.01279.
 *
 * The channels are resized corner to corner, as in pytorch-grad-cam; in torch-cam's convention they are scaled first and then
 * resized between half pixels. The B·K masked images run in chunks.
 */
export function scoreCam(pass: Pass, layer: TargetLayer, options: ProbingOptions): Terms {
  const { target, settings } = options;
  const activations = single(layer.activations).detach();
  const [batch, channels, height, width] = activations.sizes as [number, number, number, number];
  const flat = activations.reshape([batch * channels, height, width]);
  const scores: Tensor[] = [];
  for (const { samples, start, count } of pairsOf(batch, channels, chunkSize(pass.model, pass.x, settings))) {
    const score = tidy(() => {
      const size = pass.x.sizes.slice(2) as [number, number];
      const masks = masksOf(flat.narrow(0, start, count), size, options.convention); // (n, H, W)
      const images = pass.x.indexSelect(0, samples).mul(masks.unsqueeze(1).to(pass.x.dtype));
      return target.score(
        noGrad(() => single(pass.model.forward(images))),
        samples,
      );
    });
    scores.push(score);
  }
  return { weights: cat(scores).view([batch, channels]).softmax(1) };
}

function masksOf(channels: Tensor, size: readonly [number, number], convention: Convention): Tensor {
  if (convention === "torch-cam") return interpolate(scaled(channels), { size });
  return scaled(interpolate(channels, { size, alignCorners: true }));
}

function scaled(maps: Tensor): Tensor {
  const lowest = maps.amin([1, 2], { keepDims: true });
  const range = maps.amax([1, 2], { keepDims: true }).sub(lowest);
  return maps.sub(lowest).div(range.add(1e-8));
}
