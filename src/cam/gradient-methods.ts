import type { Tensor } from "../tensor/index.ts";
import type { Convention } from "./convention.ts";
import { single } from "./single.ts";

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

/** XGrad-CAM: M = ReLU(Σ_k α_k A_k), α_k = Σ_{h,w} G_k ⊙ A_k / (Σ_{h,w} A_k + 1e-7). Fu et al. 2020, arXiv 2008.02312. */
export function xGradCam({ activations, gradients }: LayerView): Terms {
  const wide = single(activations);
  return { weights: gradients.mul(wide).sum(SPACE).div(wide.sum(SPACE).add(1e-7)) };
}

/**
 * Grad-CAM++: M = ReLU(Σ_k α_k A_k), α_k = Σ_{h,w} a_k ⊙ ReLU(G_k), a_k = G_k² / (2 G_k² + (Σ_{h,w} A_k) G_k³ + 1e-6), zero where
 * G_k is. Chattopadhay et al. 2018, arXiv 1710.11063, for a score whose higher derivatives are powers of G; as pytorch-grad-cam.
 * In torch-cam's convention a_k = G_k²: version 0.5 divides a copy of it (`alpha[mask].div_(...)`).
 */
export function gradCamPlusPlus({ activations, gradients }: LayerView, convention: Convention): Terms {
  const squares = gradients.square();
  if (convention === "torch-cam") return { weights: gradients.relu().mul(squares).sum(SPACE) };
  const cubes = single(activations).sum(SPACE, { keepDims: true }).mul(gradients.pow(3));
  return { weights: plusPlusWeights(gradients, { squares, cubes, eps: 1e-6 }) };
}

/** α (B, K) = Σ_{h,w} ReLU(G) ⊙ G² / (2 G² + G³ + eps), zero where G² is: with G² and G³ as given, B, K and 1 or more pixels. */
export function plusPlusWeights(
  gradients: Tensor,
  { squares, cubes, eps }: { squares: Tensor; cubes: Tensor; eps: number },
): Tensor {
  const none = squares.eq(0);
  const denominator = squares.mul(2).add(cubes).add(eps).maskedFill(none, 1);
  return gradients.relu().mul(squares.div(denominator)).sum(SPACE);
}
