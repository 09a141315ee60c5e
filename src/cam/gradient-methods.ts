import type { Tensor } from "../tensor/index.ts";
import type { Convention } from "./convention.ts";

/** What a layer contributes to its map: channel weights α (B, K) of its activations, or the summands (B, K, h, w) themselves. */
export type Terms = { readonly weights: Tensor } | { readonly summands: Tensor };

/** Activations A and gradients G = ∂(Σ_b score_b) / ∂A of a layer, both (B, K, h, w). */
export interface LayerView {
  readonly activations: Tensor;
  readonly gradients: Tensor;
}

const SPACE = [2, 3] as const;

/** Grad-CAM: M = ReLU(Σ_k α_k A_k), α_k = mean_{h,w} G_k. Selvaraju et al. 2017, arXiv 1610.02391. */
export function gradCam({ gradients }: LayerView): Terms {
  return { weights: gradients.mean(SPACE) };
}

/** HiResCAM: M = ReLU(Σ_k G_k ⊙ A_k). Draelos, Carin 2020, arXiv 2011.08891. */
export function hiResCam({ activations, gradients }: LayerView): Terms {
  return { summands: gradients.mul(activations) };
}

/** Grad-CAM, element by element: M = Σ_k ReLU(G_k ⊙ A_k). pytorch-grad-cam's GradCAMElementWise. */
export function gradCamElementWise({ activations, gradients }: LayerView): Terms {
  return { summands: gradients.mul(activations).relu() };
}

/** LayerCAM: M = ReLU(Σ_k ReLU(G_k) ⊙ A_k). Jiang et al. 2021, IEEE TIP. */
export function layerCam({ activations, gradients }: LayerView): Terms {
  return { summands: gradients.relu().mul(activations) };
}

/**
 * XGrad-CAM: M = ReLU(Σ_k α_k A_k), α_k = Σ_{h,w} G_k ⊙ A_k / (Σ_{h,w} A_k + 1e-7), zero where the denominator is. Fu et al. 2020,
 * arXiv 2008.02312. α is computed in float64.
 */
export function xGradCam({ activations, gradients }: LayerView): Terms {
  const [a, g] = [activations.to("float64"), gradients.to("float64")];
  const magnitude = a.detach().abs().sum(SPACE).add(1e-7);
  return { weights: quotient(g.mul(a).sum(SPACE), a.sum(SPACE).add(1e-7), magnitude) };
}

/**
 * Grad-CAM++: M = ReLU(Σ_k α_k A_k), α_k = Σ_{h,w} a_k ⊙ ReLU(G_k), a_k = G_k² / (2 G_k² + (Σ_{h,w} A_k) G_k³ + 1e-6), zero where
 * G_k or the denominator is. Chattopadhay et al. 2018, arXiv 1710.11063, for a score whose higher derivatives are powers of G; as
 * pytorch-grad-cam. α is computed in float64, where G³ of float32's smallest and largest gradients is neither zero nor infinite.
 * In torch-cam's convention a_k = G_k²: version 0.5 divides a copy of it (`alpha[mask].div_(...)`).
 */
export function gradCamPlusPlus({ activations, gradients }: LayerView, convention: Convention): Terms {
  const g = gradients.to("float64");
  const squares = g.square();
  if (convention === "torch-cam") return { weights: g.relu().mul(squares).sum(SPACE) };
  const cubes = activations.to("float64").sum(SPACE, { keepDims: true }).mul(g.pow(3));
  return { weights: plusPlusWeights(g, { squares, cubes, eps: 1e-6 }) };
}

/**
 * α (B, K) = Σ_{h,w} ReLU(G) ⊙ G² / (2 G² + G³ + eps), zero where G² or the denominator is: with G² and G³ as given, B, K and 1 or
 * more pixels, in float64.
 */
export function plusPlusWeights(
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

/** What rounding leaves of a sum in float64 whose terms cancel, as a share of their magnitudes. */
const ROUNDING = 2 ** -50;

/**
 * a / b in float64, zero where b is a sum that cancels to what rounding leaves of it: neither its size nor its sign is then known.
 * `magnitude` is the sum of its terms' magnitudes.
 */
function quotient(a: Tensor, b: Tensor, magnitude: Tensor): Tensor {
  const none = b.detach().abs().le(magnitude.mul(ROUNDING));
  return a.div(b.maskedFill(none, 1)).maskedFill(none, 0);
}
