import { BatchNorm2d, LayerNorm, LayerNorm2d, Linear, type Module, recordOutputs } from "../nn/index.ts";
import { enableGrad, interpolate, Tensor } from "../tensor/index.ts";
import { type Pass, scoreGradient } from "./pass.ts";
import type { ImageOptions } from "./settings.ts";
import { single } from "./single.ts";

/**
 * FullGrad: M = ψ(x ⊙ ∂score/∂x) + Σ over biases b of ψ(b ⊙ ∂score/∂(output of their layer)), ψ(T) = Σ over channels of |T_k|,
 * scaled to [0, 1] by (|T_k| − min) / (max − min + 1e-7) and resized bilinearly. Srinivas, Fleuret 2019, arXiv 1905.00780, with the
 * scale of each channel of pytorch-grad-cam. A batch norm's bias is the effective one, bias − mean · weight / √(var + eps). That
 * library takes convolutions and batch norms; here every other layer that gives maps and has a bias counts too. It takes all
 * layers, whichever is asked for.
 */
export function fullGrad({ model, x }: Pass, { target, createGraph }: ImageOptions): Tensor {
  return enableGrad(() => {
    const images = x.detach().requiresGrad_();
    const biased = [...model.namedModules().values()].filter((module) => biasOf(module) !== null);
    const { result, outputs } = recordOutputs(new Set(biased), () => model.forward(images));
    const logits = single(result);
    const layers = [...outputs].filter(([, output]) => output.ndim === 4);
    const inputs = [images, ...layers.map(([, output]) => output)];
    const [first, ...gradients] = scoreGradient(target.score(logits).sum(), inputs, createGraph) as [
      Tensor,
      ...Tensor[],
    ];
    const size = x.sizes.slice(2) as [number, number];
    const terms = layers.map(([module], i) => biasTerm(module, gradients[i] as Tensor));
    return [single(first.mul(images)), ...terms]
      .map((term) => scaledSum(term.abs(), size))
      .reduce((sum, map) => sum.add(map));
  });
}

/** b ⊙ gradient as (B, K, h, w). */
function biasTerm(module: Module, gradient: Tensor): Tensor {
  const bias = biasOf(module) as Tensor;
  const maps = hasChannelsLast(module, gradient) ? gradient.permute([0, 3, 1, 2]) : gradient;
  return single(maps).mul(single(bias).view([1, -1, 1, 1]));
}

/** Whether a layer's output is (B, h, w, K): as it says, by its kind, or where its channels can stand nowhere else. */
function hasChannelsLast(module: Module, output: Tensor): boolean {
  const { channelDim } = module as { channelDim?: unknown };
  if (channelDim === 1 || channelDim === 3) return channelDim === 3;
  if (module instanceof LayerNorm2d || module instanceof BatchNorm2d) return false;
  if (module instanceof LayerNorm || module instanceof Linear) return true;
  const channels = biasOf(module)?.numel;
  return output.sizes[1] !== channels && output.sizes[3] === channels;
}

/** What a layer adds to its output, whatever its input; null where it has no bias. */
function biasOf(module: Module): Tensor | null {
  const { bias } = module as { bias?: unknown };
  if (!(bias instanceof Tensor)) return null;
  if (!(module instanceof BatchNorm2d)) return bias;
  const scale = module.weight.div(module.running_var.add(module.eps).sqrt());
  return bias.sub(module.running_mean.mul(scale));
}

/** ψ of terms (B, K, h, w) ≥ 0: (B, H, W). */
function scaledSum(terms: Tensor, size: readonly [number, number]): Tensor {
  const shifted = terms.sub(terms.amin([2, 3], { keepDims: true }));
  const range = shifted.amax([2, 3], { keepDims: true }).add(1e-7);
  // Resizing is linear: the channels' sum is resized in place of each channel.
  return interpolate(shifted.div(range).sum([1]), { size });
}
