import { BatchCamError } from "../errors.ts";
import { LayerNorm, Linear, type Module } from "../nn/index.ts";
import { handleOutputs, type OutputHandler, tapOutput } from "../nn/internal.ts";
import { enableGrad, grad, interpolate, isGradEnabled, Tensor } from "../tensor/index.ts";
import { type BiasedOutput, isTensor, isUnused, observeBiases, upcastHalf } from "../tensor/internal.ts";
import type { ImageOptions } from "./options.ts";
import type { Pass } from "./pass.ts";
import { logitsFor, recordedForward } from "./recorded-forward.ts";
import { scoreGradient } from "./targets.ts";

/** The contribution of one bias to a score, at each position at which the bias is added. */
export interface BiasTerm {
  /** b ⊙ ∂score/∂(output), of the output's shape */
  readonly values: Tensor;
  /** The dimension of the channels: 1 for values (B, K, h, w), 3 for values (B, h, w, K). */
  readonly channelDim: 1 | 3;
}

/**
 * FullGrad: M = ψ(x ⊙ ∂score/∂x) + Σ over biases b of ψ(b ⊙ ∂score/∂(what b was added to)), ψ(T) = Σ over channels of |T_k|, scaled to
 * [0, 1] by (|T_k| − min) / (max − min + 1e-7) and resized bilinearly. Srinivas, Fleuret 2019, arXiv 1905.00780, with each channel scaled
 * as in pytorch-grad-cam. The bias of a batch norm is the effective one, bias − mean · weight / √(var + eps). That library uses only the
 * biases of convolutions and batch norms. Here every other bias that is added to maps counts too, once for each time that its layer runs.
 * The method always uses all layers, whatever layer the caller names.
 */
export function fullGrad(pass: Pass, options: ImageOptions): Tensor {
  const { input, biases } = fullGradTerms(pass, options);
  const [batch, , height, width] = input.sizes as [number, number, number, number];
  const maps = biases
    .filter(({ values }) => values.ndim === 4 && values.sizes[0] === batch)
    .map(({ values, channelDim }) => (channelDim === 3 ? values.permute([0, 3, 1, 2]) : values));
  return enableGrad(() =>
    [input, ...maps].map((term) => scaledSum(term.abs(), [height, width])).reduce((sum, map) => sum.add(map)),
  );
}

/**
 * The full gradients: x ⊙ ∂score/∂x, and the term of each bias at each position. For a network of layers with biases, ReLUs and poolings,
 * their sum is the score of each sample (proposition 1 of the paper).
 *
 * @throws E_ARGUMENT if the score does not depend on x; E_CONFIG for a module that adds its bias in a way that no tap can observe
 */
export function fullGradTerms(
  { model, x }: Pick<Pass, "model" | "x">,
  { target, createGraph }: Pick<ImageOptions, "target" | "createGraph">,
): { input: Tensor; biases: BiasTerm[] } {
  return enableGrad(() => {
    const images = x.detach().requiresGrad_();
    const { logits, taps, unseen } = recordedForward(model, createGraph, () => biasedForward(model, images));
    const score = target.score(logits).sum();
    const hidden = [...unseen].filter(([, bias]) => bias.requiresGrad);
    const inputs = [images, ...taps.map(({ tap }) => tap), ...hidden.map(([, bias]) => bias)];
    const [first, ...gradients] = gradientsOf(score, inputs, createGraph) as [Tensor, ...Tensor[]];
    for (const [i, [path]] of hidden.entries()) expectSeen(path, gradients[taps.length + i] as Tensor);
    const biases = taps.map(({ added, channelDim }, i) => {
      return { values: upcastHalf(gradients[i] as Tensor).mul(upcastHalf(added)), channelDim };
    });
    return { input: upcastHalf(first.mul(images)), biases };
  });
}

/** Gradients with zeros for biases that the score does not depend on, such as those of an auxiliary head. */
function gradientsOf(score: Tensor, inputs: readonly Tensor[], createGraph: boolean): Tensor[] {
  try {
    return grad(score, inputs, { createGraph, retainGraph: true });
  } catch (error) {
    if (!isUnused(error)) throw error;
    scoreGradient(score, inputs.slice(0, 1), false); // allowUnused is false, because the score must depend on the images
    return grad(score, inputs, { createGraph, retainGraph: true, allowUnused: true });
  }
}

interface BiasTap {
  /** The sum of the bias and the tensor that it was added to. */
  readonly tap: Tensor;
  readonly added: Tensor;
  readonly channelDim: 1 | 3;
}

interface BiasedPass {
  readonly logits: Tensor;
  readonly taps: readonly BiasTap[];
  /** The biases whose addition no tap has observed, by the paths of their modules. */
  readonly unseen: ReadonlyMap<string, Tensor>;
}

/**
 * A forward pass that taps each result where a bias has just been added, before any activation; for user-defined modules that
 * add their `bias` themselves, it taps their output.
 */
function biasedForward(model: Module, images: Tensor): BiasedPass {
  const taps: BiasTap[] = [];
  const seen = new Set<Tensor>();
  const see = ({ output, bias, added, channelDim }: BiasedOutput): Tensor => {
    if (bias !== null) seen.add(bias);
    const { tap, next } = tapOutput(output, { origin: "own", graph: isGradEnabled(), name: "explain: FullGrad" });
    if (tap.requiresGrad) taps.push({ tap, added: added(), channelDim });
    return next;
  };
  const own = new Set<Tensor>();
  const atOutput = (path: string, module: Module): OutputHandler => {
    return (output, origin) => {
      const bias = biasOf(module);
      if (bias === null || seen.has(bias) || !isTensor(output)) return output;
      own.add(bias);
      const { tap, next } = tapOutput(output, { origin, graph: isGradEnabled(), name: `explain: layer ${path}` });
      if (tap.requiresGrad) taps.push({ tap, ...addedBy(module, bias, tap) });
      return next;
    };
  };
  const modules = [...model.namedModules()];
  const handlers = new Map(modules.map(([path, module]) => [module, atOutput(path, module)]));
  const logits = observeBiases(see, () => handleOutputs(handlers, () => logitsFor(model, images)));
  const biased = modules.map(([path, module]) => [path, biasOf(module)] as const);
  const unseen = biased.filter((entry): entry is readonly [string, Tensor] => {
    const [, bias] = entry;
    return bias !== null && !seen.has(bias) && !own.has(bias);
  });
  return { logits, taps, unseen: new Map(unseen) };
}

/** The bias of a user-defined module, if it has one under the usual name. */
function biasOf(module: Module): Tensor | null {
  const { bias } = module as { bias?: unknown };
  return bias instanceof Tensor ? bias : null;
}

function addedBy(module: Module, bias: Tensor, output: Tensor): Pick<BiasTap, "added" | "channelDim"> {
  if (output.ndim !== 4) return { added: bias, channelDim: 1 };
  const channelDim = hasChannelsLast(module, bias, output) ? 3 : 1;
  return { added: channelDim === 3 ? bias.flatten() : bias.view([-1, 1, 1]), channelDim };
}

/**
 * Whether a layer's output is (B, h, w, K): the layer says so, its class implies it, or no other dimension fits its channels.
 */
function hasChannelsLast(module: Module, bias: Tensor, output: Tensor): boolean {
  const { channelDim } = module as { channelDim?: unknown };
  if (channelDim === 1 || channelDim === 3) return channelDim === 3;
  if (module instanceof LayerNorm || module instanceof Linear) return true;
  return output.sizes[1] !== bias.numel && output.sizes[3] === bias.numel;
}

/** Throws if the score depends on a bias that no tap has observed. */
function expectSeen(path: string, gradient: Tensor): void {
  if (gradient.detach().abs().max().item() === 0) return;
  throw new BatchCamError(
    "E_CONFIG",
    `explain: FullGrad cannot observe how ${path} adds its bias; call modules by run(x), not forward(x)`,
  );
}

/** ψ of terms (B, K, h, w) ≥ 0: (B, H, W). */
function scaledSum(terms: Tensor, size: readonly [number, number]): Tensor {
  const shifted = terms.sub(terms.amin([2, 3], { keepDims: true }));
  const range = shifted.amax([2, 3], { keepDims: true }).add(1e-7);
  // Resizing is linear, so that the sum of the channels can be resized instead of each channel.
  return interpolate(shifted.div(range).sum([1]), { size });
}
