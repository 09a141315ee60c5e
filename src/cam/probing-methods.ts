import { handleOutputs, inPlaceOf, type OutputHandler } from "../nn/internal.ts";
import { arange, cat, interpolate, noGrad, oneHot, onesLike, type Tensor, tidy } from "../tensor/index.ts";
import { autocastDtype, upcastHalf } from "../tensor/internal.ts";
import { channelScores, chunkSize } from "./chunks.ts";
import type { MapTerms } from "./gradient-methods.ts";
import type { Convention } from "./normalize.ts";
import type { ProbingOptions } from "./options.ts";
import { agree, type Pass, type TargetLayer } from "./pass.ts";
import { logitsFor } from "./recorded-forward.ts";
import type { Target } from "./targets.ts";

/**
 * Score-CAM: M = ReLU(Σ_k α_k A_k), α = softmax over k of the score of x ⊙ H_k, H_k the channel A_k resized to the image and scaled to
 * [0, 1] by (H − min) / (max − min + 1e-8 r), r the largest range among the image's channels. Wang et al. 2020, arXiv 1910.01279.
 *
 * The channels are resized with aligned corners, as in pytorch-grad-cam; in torch-cam's convention they are scaled first and then resized
 * with half-pixel centres. Both libraries add 1e-8 to the range without the factor r, and so do their conventions here. The B·K masked
 * images run in chunks.
 */
export function scoreCam(pass: Pass, layer: TargetLayer, { target, settings, convention }: ProbingOptions): MapTerms {
  const activations = upcastHalf(layer.activations).detach();
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

/**
 * The eps that is added to the ranges of a sample's channels: (B, 1, 1). It is a share of the largest range, so that the unit
 * of A does not matter.
 */
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

/** Scales maps (n, H, W) to [0, 1]; a constant map becomes zero. */
function scaled(maps: Tensor, eps: Tensor): Tensor {
  const shifted = maps.sub(maps.amin([1, 2], { keepDims: true }));
  const range = shifted.amax([1, 2], { keepDims: true });
  const none = range.eq(0);
  return shifted.div(range.add(eps).maskedFill(none, 1));
}

/**
 * Ablation-CAM: M = ReLU(Σ_k α_k A_k), α_k = (s − s_k) / |s|, s the score and s_k the score with channel k of A set to zero; zero if s is
 * zero. Desai, Ramaswamy 2020. They divide by s, and so does convention "pytorch-grad-cam": a negative score then flips the sign of every
 * weight, and the map shows the evidence against the class. pytorch-grad-cam sets the channel to zero only if the smallest activation of
 * the image is exactly 0, which is usual after a ReLU, and otherwise to that minimum minus 1e7. For layers with negative outputs the maps
 * therefore differ.
 *
 * The B·K ablations run in chunks. If the logits depend on the image only through the layer, only the layers after it are computed for
 * each of them.
 */
export function ablationCam(
  pass: Pass,
  given: TargetLayer,
  { target, settings, convention }: ProbingOptions,
): MapTerms {
  const layer = asItIsRead(pass, given);
  const { tap, channelDim } = layer;
  const batch = tap.sizes[0] as number;
  const channels = tap.sizes[channelDim] as number;
  const before = upcastHalf(target.score(pass.logits.detach())).unsqueeze(1); // (B, 1)
  const size = chunkSize(pass.model, pass.x, settings);
  const alone = isOnlyWay(pass, layer, target);
  const after = channelScores({ batch, channels, size, target }, (pairs) => {
    const own = tap.detach().indexSelect(0, pairs.samples);
    const kept = oneHot(pairs.channels, channels).eq(0).to(tap.dtype); // (n, K)
    const shape = own.sizes.map((size, i) => (i === 0 || i === channelDim ? size : 1));
    const ablated = own.mul(kept.view(shape));
    const images = alone ? pass.x.narrow(0, 0, 1) : pass.x.indexSelect(0, pairs.samples);
    return logitsFrom(pass, layer, { images, output: ablated });
  });
  const none = before.eq(0);
  // float64, because the drop divided by a tiny score could overflow in float32.
  const drop = before.to("float64").sub(after.to("float64"));
  const divisor = convention === "pytorch-grad-cam" ? before : before.abs();
  return { weights: drop.div(divisor.to("float64").maskedFill(none, 1)).maskedFill(none, 0) };
}

/**
 * The layer, with `sharesInput` set if other layers that read its input must also get the replacement of its output.
 */
function asItIsRead(pass: Pass, layer: TargetLayer): TargetLayer {
  if (!layer.sharesInput) return layer;
  const apart = { ...layer, sharesInput: false };
  const logits = logitsFrom(pass, apart, { images: pass.x.detach(), output: layer.tap.detach().clone() });
  return agree(logits, pass.logits) ? apart : layer;
}

/** The logits of images if the output of a layer's last run is replaced. The model may overwrite the replacement. */
function logitsFrom(
  { model }: Pass,
  { module, runs, sharesInput }: TargetLayer,
  { images, output }: { images: Tensor; output: Tensor },
): Tensor {
  let run = 0;
  const replace: OutputHandler = (own, origin) => {
    if (++run !== runs) return own;
    return inPlaceOf(own, output, sharesInput && origin !== "own" ? "rewritten" : origin);
  };
  const handlers = new Map<object, OutputHandler>([[module, replace]]);
  return noGrad(() => handleOutputs(handlers, () => logitsFor(model, images)));
}

/**
 * Whether the score depends on the image only through this layer's output. To find out, all samples get the same other image, while the
 * layer's outputs remain those of their own images: unchanged, with every second channel removed, and with all channels removed. The
 * scores must stay the same each time.
 */
function isOnlyWay(pass: Pass, layer: TargetLayer, target: Target): boolean {
  const [count = 0] = pass.x.sizes;
  const first = pass.x.detach().narrow(0, 0, 1);
  const tolerance = autocastDtype() === null ? 1e-4 : 1e-2; // in bfloat16, a batch of another size rounds differently
  return tidy(() => {
    const other = first
      .flip([2, 3])
      .neg()
      .add(first.abs().amax([1, 2, 3], { keepDims: true }))
      .add(0.5);
    const output = layer.tap.detach();
    const even = arange(output.sizes[layer.channelDim] as number)
      .remainder(2)
      .to(output.dtype)
      .view(output.sizes.map((_size, i) => (i === layer.channelDim ? -1 : 1)));
    return [output, output.mul(even), output.mul(0)].every((probe) => {
      try {
        // One extra sample, to detect code that depends on the batch size.
        const longer = cat([probe, probe.narrow(0, 0, 1)]);
        const logits = logitsFrom(pass, layer, { images: other, output: longer }).narrow(0, 0, count);
        const wanted = target.score(logitsFrom(pass, layer, { images: pass.x.detach(), output: probe.clone() }));
        const error = target.score(logits).sub(wanted).abs();
        const rounding = wanted
          .abs()
          .max()
          .mul(tolerance * 1e-2); // relative to the scores, so that their unit does not matter
        return error.sub(wanted.abs().mul(tolerance)).sub(rounding).max().item() <= 0;
      } catch {
        return false; // the model may reject other images or batch sizes; it then runs on its own images
      }
    });
  });
}
