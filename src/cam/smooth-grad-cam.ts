import type { Tensor } from "../tensor/index.ts";
import { plusPlusWeights, type Terms } from "./gradient-methods.ts";
import { noiseLike } from "./noise.ts";
import { forwardPass, layerGradients, type Pass, type TargetLayer } from "./pass.ts";
import type { ProbingOptions } from "./settings.ts";

/**
 * Smooth Grad-CAM++: M = ReLU(Σ_k α_k A_k), α_k = Σ_{h,w} ReLU(D₁) ⊙ D₂ / (2 D₂ + Σ_{h,w} D₃ ⊙ A_k + 1e-8), D_n the mean of G_kⁿ over
 * noisy copies of the image, A that of the image itself. Omeiza et al. 2019, arXiv 1908.01224, with torch-cam's D₂ for the
 * numerator; that library takes D₁, and the activations of the sum, from its last noisy copy alone.
 */
export function smoothGradCamPlusPlus(pass: Pass, layer: TargetLayer, options: ProbingOptions): Terms {
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
    const gradient = (layerGradients(noisy, target, createGraph)[index] as Tensor).to("float64"); // for its powers
    for (const [power, value] of [gradient, gradient.square(), gradient.pow(3)].entries())
      sums[power] = sums[power]?.add(value) ?? value;
    copies++;
  }
  const [gradients, squares, thirds] = sums.map((sum) => sum.div(copies)) as [Tensor, Tensor, Tensor];
  const cubes = thirds.mul(layer.activations).sum([2, 3], { keepDims: true });
  return { weights: plusPlusWeights(gradients, { squares, cubes, eps: 1e-8 }) };
}
