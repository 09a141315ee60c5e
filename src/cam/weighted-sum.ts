import type { Tensor } from "../tensor/index.ts";
import { single } from "./single.ts";

/** Σ_k α[b,k] · A[b,k] as batched products: α (B, K), A (B, K, h, w) → (B, h, w), float32 where A has 16 bits. */
export function weightedSum(activations: Tensor, alpha: Tensor): Tensor {
  const [batch, , height, width] = activations.sizes as [number, number, number, number];
  const flat = activations.flatten(2); // (B, K, h·w)
  // Apart from its first pixel, a constant map is a sum of exact zeros; kernels round the columns of a product differently,
  // and normalising would blow that noise up.
  const first = single(flat.detach().narrow(2, 0, 1));
  const rest = flat.sub(first); // float32 where the activations have 16 bits: widened in the same pass
  const weights = alpha.unsqueeze(1); // (B, 1, K)
  return weights.bmm(rest).add(weights.bmm(first)).view([batch, height, width]);
}
