import { autocast, type Tensor, tensor } from "../tensor/index.ts";
import { upcastHalf } from "../tensor/internal.ts";
import { principalComponent } from "./eigen.ts";
import { noiseLike } from "./input-gradients.ts";
import { type Convention, type ScaleOptions, scaleMaps } from "./normalize.ts";
import type { ProbingOptions } from "./options.ts";
import { forwardPass, layerGradients, type Pass, type TargetLayer } from "./pass.ts";

/** A layer's contribution to its map: either channel weights α (B, K) of its activations, or the summands (B, K, h, w). */
export type MapTerms = { readonly weights: Tensor } | { readonly summands: Tensor };

/** Activations A and gradients G = ∂(Σ_b score_b) / ∂A of a layer, both (B, K, h, w). */
export interface LayerView {
  readonly activations: Tensor;
  readonly gradients: Tensor;
}

const SPACE = [2, 3] as const;

/** Grad-CAM: M = ReLU(Σ_k α_k A_k), α_k = mean_{h,w} G_k. Selvaraju et al. 2017, arXiv 1610.02391. */
export function gradCam({ gradients }: LayerView): MapTerms {
  return { weights: gradients.mean(SPACE) };
}

/** HiResCAM: M = ReLU(Σ_k G_k ⊙ A_k). Draelos, Carin 2020, arXiv 2011.08891. */
export function hiResCam({ activations, gradients }: LayerView): MapTerms {
  return { summands: gradients.mul(activations) };
}

/** Element-wise Grad-CAM: M = Σ_k ReLU(G_k ⊙ A_k). pytorch-grad-cam's GradCAMElementWise. */
export function gradCamElementWise({ activations, gradients }: LayerView): MapTerms {
  return { summands: gradients.mul(activations).relu() };
}

/** LayerCAM: M = ReLU(Σ_k ReLU(G_k) ⊙ A_k). Jiang et al. 2021, IEEE TIP. */
export function layerCam({ activations, gradients }: LayerView): MapTerms {
  return { summands: gradients.relu().mul(activations) };
}

/**
 * XGrad-CAM: M = ReLU(Σ_k α_k A_k), α_k = Σ_{h,w} G_k ⊙ A_k / (Σ_{h,w} A_k + 1e-7), zero if the denominator is zero. Fu et al.
 * 2020, arXiv 2008.02312. α is computed in float64.
 */
export function xGradCam({ activations, gradients }: LayerView): MapTerms {
  const [a, g] = [activations.to("float64"), gradients.to("float64")];
  const magnitude = a.detach().abs().sum(SPACE).add(1e-7);
  return { weights: quotient(g.mul(a).sum(SPACE), a.sum(SPACE).add(1e-7), magnitude) };
}

/**
 * Grad-CAM++: M = ReLU(Σ_k α_k A_k), α_k = Σ_{h,w} a_k ⊙ ReLU(G_k), a_k = G_k² / (2 G_k² + (Σ_{h,w} A_k) G_k³ + 1e-6), zero if G_k or the
 * denominator is zero. Chattopadhay et al. 2018, arXiv 1710.11063, for a score whose higher derivatives are powers of G, as in
 * pytorch-grad-cam. α is computed in float64, because in float32 G³ of very small or large gradients would become zero or infinite. In
 * torch-cam's convention a_k = G_k², because version 0.5 of that library divides only a copy (`alpha[mask].div_(...)`).
 */
export function gradCamPlusPlus({ activations, gradients }: LayerView, convention: Convention): MapTerms {
  const g = gradients.to("float64");
  const squares = g.square();
  if (convention === "torch-cam") return { weights: g.relu().mul(squares).sum(SPACE) };
  const cubes = activations.to("float64").sum(SPACE, { keepDims: true }).mul(g.pow(3));
  return { weights: plusPlusWeights(g, { squares, cubes, eps: 1e-6 }) };
}

/**
 * α (B, K) = Σ_{h,w} ReLU(G) ⊙ G² / (2 G² + G³ + eps), in float64; zero if G² or the denominator is zero. G² and G³ are given as (B, K,
 * pixels).
 */
function plusPlusWeights(
  gradients: Tensor,
  { squares, cubes, eps }: { squares: Tensor; cubes: Tensor; eps: number },
): Tensor {
  const double = squares.mul(2);
  const magnitude = double.detach().add(cubes.detach().abs()).add(eps);
  return gradients
    .relu()
    .mul(quotient(squares, double.add(cubes).add(eps), magnitude))
    .sum(SPACE);
}

/** The rounding error of a float64 sum whose terms cancel, as a share of their magnitudes. */
const ROUNDING = 2 ** -50;

/**
 * a / b in float64. The result is zero if b is a sum whose terms cancel down to rounding error, because neither its size nor its sign is
 * known then. `magnitude` is the sum of the magnitudes of its terms.
 */
function quotient(a: Tensor, b: Tensor, magnitude: Tensor): Tensor {
  const none = b.detach().abs().le(magnitude.mul(ROUNDING));
  return a.div(b.maskedFill(none, 1)).maskedFill(none, 0);
}

/** Σ_k α[b,k] · A[b,k] as batched products: α (B, K), A (B, K, h, w) → (B, h, w), float32 if A has 16 bits. */
export function weightedSum(activations: Tensor, alpha: Tensor): Tensor {
  const [batch, , height, width] = activations.sizes as [number, number, number, number];
  const flat = activations.flatten(2); // (B, K, h·w)
  // The first pixel is subtracted before the sum, so that a constant map is a sum of exact zeros. Otherwise kernels round the columns of
  // a product differently, and normalising would amplify that noise.
  const first = upcastHalf(flat.detach().narrow(2, 0, 1));
  const rest = flat.sub(first); // converts 16-bit activations to float32 in the same pass
  const weights = alpha.unsqueeze(1); // (B, 1, K)
  return weights.bmm(rest).add(weights.bmm(first)).view([batch, height, width]);
}

/**
 * A layer's signed map (B, h, w): the sum of its terms over the channels, or their first principal component. To stay within the range of
 * float32, each sample's weights are divided by a power of two near the largest of them, and the map is multiplied by it afterwards;
 * neither operation rounds. The map has the activations' dtype, or float64 if float32 could not hold it.
 */
export function reduceTerms(activations: Tensor, terms: MapTerms, project: boolean): Tensor {
  if ("summands" in terms) return project ? principalComponent(terms.summands) : terms.summands.sum([1]);
  const exact = terms.weights.to("float64");
  const scales = largestOf(exact).map(powerOfTwo);
  const scale = tensor(scales, { shape: [scales.length, 1] });
  const weights = exact.div(scale).to(activations.dtype);
  const map = project
    ? principalComponent(activations.mul(weights.unsqueeze(2).unsqueeze(3)))
    : weightedSum(activations, weights);
  const holds = (largest: number, own: number) => isOrdinary(own) && isOrdinary(largest * own);
  const fits = largestOf(map.flatten(1)).every((largest, row) => holds(largest, scales[row] as number));
  const dtype = fits ? map.dtype : "float64";
  return map.to(dtype).mul(scale.unsqueeze(2).to(dtype));
}

/** The terms that a method computes for one layer. */
export interface LayerTerms {
  readonly activations: Tensor;
  readonly terms: MapTerms;
}

/**
 * The last steps of every method that uses layers: the terms of each layer are added up or projected, passed through the ReLU, resized
 * and scaled to [0, 1], and the maps of several layers are fused. The maps have 32 bits even if the network computes in 16: if they were
 * rounded before they are scaled, they would lose a third of their quality.
 */
export function mapOfTerms(layers: readonly LayerTerms[], options: ScaleOptions & { project: boolean }): Tensor {
  return autocast({ enabled: false }, () =>
    scaleMaps(
      layers.map(({ activations, terms }) => reduceTerms(activations, terms, options.project)),
      options,
    ),
  );
}

/** The largest magnitude of each row. */
function largestOf(rows: Tensor): Float64Array {
  return rows.detach().abs().amax([1]).to("float64").data() as Float64Array;
}

/** The largest power of two that does not exceed a value; 1 for zero, NaN and infinity. */
const powerOfTwo = (value: number) => (value > 0 && value < Infinity ? 2 ** Math.floor(Math.log2(value)) : 1);

/** Whether values up to this magnitude keep their precision in float32. */
const isOrdinary = (largest: number) => !(largest > 1e37 || (largest > 0 && largest < 1e-30));

/**
 * Smooth Grad-CAM++: M = ReLU(Σ_k α_k A_k), α_k = Σ_{h,w} ReLU(D₁) ⊙ D₂ / (2 D₂ + Σ_{h,w} D₃ ⊙ A_k + 1e-8), where D_n is the mean of G_kⁿ
 * over noisy copies of the image, and A belongs to the image itself. Omeiza et al. 2019, arXiv 1908.01224, with D₂ in the numerator as in
 * torch-cam. That library computes D₁, and the activations of the sum, from its last noisy copy alone.
 */
export function smoothGradCamPlusPlus(pass: Pass, layer: TargetLayer, options: ProbingOptions): MapTerms {
  const { target, createGraph, settings } = options;
  const index = pass.layers.indexOf(layer);
  const layers = pass.layers.map(({ path, module }) => [path, module] as const);
  const record = createGraph ? "everything" : "behind the layers";
  const sums: Tensor[] = [];
  let copies = 0;
  for (const offset of noiseLike(pass.x, { samples: 4, deviation: 0.3, ...settings })) {
    const noisy = forwardPass(pass.model, pass.x.add(offset), {
      layers,
      record,
      reshapeTransform: pass.reshapeTransform,
    });
    const gradient = (layerGradients(noisy, target, createGraph)[index] as Tensor).to("float64"); // float64, for the powers of the gradient
    for (const [power, value] of [gradient, gradient.square(), gradient.pow(3)].entries())
      sums[power] = sums[power]?.add(value) ?? value;
    copies++;
  }
  const [gradients, squares, thirds] = sums.map((sum) => sum.div(copies)) as [Tensor, Tensor, Tensor];
  const cubes = thirds.mul(layer.activations).sum([2, 3], { keepDims: true });
  return { weights: plusPlusWeights(gradients, { squares, cubes, eps: 1e-8 }) };
}
