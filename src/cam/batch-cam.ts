import { BatchCamError } from "../errors.ts";
import { expectShapes } from "../tensor/expect.ts";
import { autocast, grad, interpolate, type Tensor } from "../tensor/index.ts";
import { readLabels } from "../tensor/labels.ts";
import { type NormalizeOptions, normalizeMaps } from "./normalize.ts";

export interface BatchCamOptions {
  /** "second" lets the gradient of the maps flow through α too; "first" treats α as a constant. */
  order?: "first" | "second";
  /** Whether the maps carry a graph to the parameters; false gives maps for viewing. */
  createGraph?: boolean;
  /** Whether negative evidence is cut off; false gives the signed sum. */
  relu?: boolean;
  /** [H, W]: resizes the maps bilinearly, to the image's size as a rule. */
  upsample?: readonly [number, number];
  /** Scales each map to [0, 1], after upsampling; `true` for eps 1e-8. */
  normalize?: boolean | NormalizeOptions;
  /**
   * The weight (C, K) of a linear head on globally average-pooled activations. There α = weight[t] / (h·w) exactly, and
   * no vector-Jacobian product is needed. Only for logits that are `linear(mean(A), weight, bias)`.
   */
  head?: { readonly weight: Tensor };
}

/**
 * Grad-CAM of a whole batch in one vector-Jacobian product, differentiable to the parameters:
 *
 *     G = ∂(Σ_b S[b, t_b]) / ∂A,  α[b,k] = mean_{h,w} G[b,k],  M[b] = ReLU(Σ_k α[b,k] · A[b,k])
 *
 * @param logits S (B, C), before softmax, computed from `activations` with their graph
 * @param activations A (B, K, h, w), the target layer's output, not detached
 * @param targets t (B), the class that each map explains, as a rule the label
 * @returns maps (B, h, w), or (B, H, W) where upsampled; float32 also under autocast (float64 stays)
 *
 * One sum serves the batch as long as nothing after A mixes samples; batch norm after the target layer in train mode does,
 * and G[b] then holds cross-sample terms. Writes no `.grad`, keeps the graph for the loss, leaves nothing behind.
 *
 * Selvaraju et al., Grad-CAM, 2017; Ignesti, Moroni, Martinelli, Batch-CAM, arXiv 2510.00664.
 *
 * @throws E_SHAPE, E_ARGUMENT for a target out of range, E_NATIVE where the logits have no graph to the activations.
 */
export function batchCam(
  logits: Tensor,
  activations: Tensor,
  targets: Tensor | readonly number[],
  options: BatchCamOptions = {},
): Tensor {
  const { order = "second", createGraph = true, relu = true, upsample, normalize = false, head } = options;
  const { B, C } = expectShapes("batchCam", { logits: [logits, "B C"], activations: [activations, "B K h w"] }) as {
    B: number;
    C: number;
  };
  if (B === 0) throw new BatchCamError("E_SHAPE", "batchCam: the batch is empty");
  const { tensor: classes } = readLabels("batchCam", targets, { count: B, numClasses: C });
  const alpha =
    head === undefined
      ? gradientWeights(logits, activations, classes, createGraph && order === "second")
      : headWeights(activations, classes, head.weight);
  // Maps stay float32 under autocast: rounded to bfloat16 before normalising they lose a third of their quality.
  const maps = autocast({ enabled: false }, () => {
    const kept = createGraph ? activations : activations.detach();
    const summed = weightedSum(kept, order === "second" && createGraph ? alpha : alpha.detach());
    const raw = relu ? summed.relu() : summed;
    const sized = upsample === undefined ? raw : interpolate(raw, { size: upsample });
    if (normalize === false) return sized;
    return normalizeMaps(sized, normalize === true ? {} : normalize);
  });
  return maps;
}

/** α (B, K) by autograd. */
function gradientWeights(logits: Tensor, activations: Tensor, classes: Tensor, createGraph: boolean): Tensor {
  if (!logits.requiresGrad || !activations.requiresGrad) {
    const missing = logits.requiresGrad ? "activations" : "logits";
    throw new BatchCamError(
      "E_ARGUMENT",
      `batchCam: ${missing} carry no graph; compute both in one forward pass outside noGrad and don't detach them`,
    );
  }
  const target = logits.gather(1, classes.unsqueeze(1)).sum();
  const [gradient] = grad(target, activations, { createGraph, retainGraph: true }) as [Tensor]; // (B, K, h, w)
  return single(gradient).mean([2, 3]);
}

/** α (B, K) in closed form, for global average pooling and a linear head. */
function headWeights(activations: Tensor, classes: Tensor, weight: Tensor): Tensor {
  const { h, w } = expectShapes("batchCam", {
    activations: [activations, "B K h w"],
    "head.weight": [weight, "C K"],
  }) as { h: number; w: number };
  return single(weight)
    .indexSelect(0, classes)
    .div(h * w);
}

/** Σ_k α[b,k] · A[b,k] as one batched product. */
function weightedSum(activations: Tensor, alpha: Tensor): Tensor {
  const [batch, , height, width] = activations.sizes as [number, number, number, number];
  return alpha.unsqueeze(1).bmm(single(activations).flatten(2)).view([batch, height, width]);
}

function single(x: Tensor): Tensor {
  return x.dtype === "bfloat16" || x.dtype === "float16" ? x.to("float32") : x;
}
