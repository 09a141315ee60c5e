import { BatchCamError } from "../errors.ts";
import { type Interceptor, interceptOutputs } from "../nn/index.ts";
import { autocastDtype } from "../tensor/autograd.ts";
import { cat, noGrad, oneHot, type Tensor, tidy } from "../tensor/index.ts";
import { chunkSize, pairsOf } from "./chunks.ts";
import type { Terms } from "./gradient-methods.ts";
import type { Pass, TargetLayer } from "./pass.ts";
import type { ProbingOptions } from "./settings.ts";
import { single } from "./single.ts";

/**
 * Ablation-CAM: M = ReLU(Σ_k α_k A_k), α_k = (s − s_k) / s, s the score and s_k the score with channel k of A set to zero; zero
 * where s is. Desai, Ramaswamy 2020. pytorch-grad-cam sets the channel to zero only where the smallest activation of the image
 * is exactly 0 (behind a ReLU as a rule), else to that minimum less 1e7; maps of layers with negative values differ.
 *
 * The B·K ablations run in chunks. Where the logits depend on the image through the layer alone, only what follows the layer
 * is computed for each of them.
 */
export function ablationCam(pass: Pass, layer: TargetLayer, { target, settings }: ProbingOptions): Terms {
  const { tap } = layer;
  const [batch = 0, channels = 0] = tap.sizes;
  const before = single(target.score(pass.logits.detach()));
  const size = chunkSize(pass.model, pass.x, settings);
  const alone = isOnlyWay(pass, layer);
  const scores: Tensor[] = [];
  for (const { samples, channels: removed } of pairsOf(batch, channels, size)) {
    const score = tidy(() => {
      const kept = oneHot(removed, channels).eq(0).to(tap.dtype).unsqueeze(2).unsqueeze(3); // (n, K, 1, 1)
      const ablated = tap.detach().indexSelect(0, samples).mul(kept);
      const images = alone ? pass.x.narrow(0, 0, 1) : pass.x.indexSelect(0, samples);
      return target.score(logitsFrom(pass, layer, { images, output: ablated }), samples);
    });
    scores.push(score);
  }
  const after = cat(scores).view([batch, channels]);
  const none = before.eq(0).unsqueeze(1);
  const drop = before.unsqueeze(1).sub(after);
  return { weights: drop.div(before.unsqueeze(1).maskedFill(none, 1)).maskedFill(none, 0) };
}

/** The logits of images whose output at a layer, in its last run, is replaced. */
function logitsFrom(
  { model }: Pass,
  { module, runs }: TargetLayer,
  { images, output }: { images: Tensor; output: Tensor },
): Tensor {
  let run = 0;
  const interceptors = new Map<object, Interceptor>([[module, (own) => (++run === runs ? output : own)]]);
  return noGrad(() => single(interceptOutputs(interceptors, () => model.forward(images))));
}

/**
 * Whether the logits depend on the image through this layer's output and by no other way: whether another image, one for all
 * samples, gives the same logits, but for rounding, with the samples' outputs put in.
 */
function isOnlyWay(pass: Pass, layer: TargetLayer): boolean {
  return tidy(() => {
    const [count = 0] = pass.x.sizes;
    const first = pass.x.detach().narrow(0, 0, 1);
    const other = first
      .flip([2, 3])
      .neg()
      .add(first.abs().amax([1, 2, 3], { keepDims: true }))
      .add(0.5);
    const output = layer.tap.detach();
    // One sample more than there are, so that code which reckons with the batch's size is found out.
    const one = output.narrow(0, 0, 1);
    try {
      const logits = logitsFrom(pass, layer, { images: other, output: cat([output, one]) }).narrow(0, 0, count);
      const wanted = pass.logits.detach();
      const scale = wanted.abs().max().item() + 1e-6;
      return logits.sub(wanted).abs().max().item() <= (autocastDtype() === null ? 1e-4 : 1e-2) * scale;
    } catch (error) {
      if (error instanceof BatchCamError) return false;
      throw error;
    }
  });
}
