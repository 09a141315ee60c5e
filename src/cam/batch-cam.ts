import { describeValue, expectFunction, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { autocast, interpolate, type Tensor } from "../tensor/index.ts";
import { expectShapes, camMaps as fusedMaps, readLabels, upcastHalf, wantsFused } from "../tensor/internal.ts";
import { weightedSum } from "./gradient-methods.ts";
import { expectMaps, type NormalizeOptions, normalizeMaps, scaleMaps } from "./normalize.ts";
import type { ReshapeTransform } from "./recorded-forward.ts";
import { callersGradient, classTarget } from "./targets.ts";

export interface CamHead {
  readonly weight: Tensor;
  readonly output?: Tensor;
  /**
   * Weight (C, J) of the last layer, given if the logits are `linear(relu(output), readout, bias)`. α then needs no
   * gradient.
   */
  readonly readout?: Tensor;
  /** Mean (J, K) of `weight` over its pixels, if the layer reads flattened maps and the mean is already known. */
  readonly pooled?: Tensor | undefined;
}

export interface BatchCamOptions {
  /** "second" also differentiates the maps through α; "first" treats α as a constant. */
  order?: "first" | "second";
  /** Whether the maps have a graph to the parameters. Maps that are only looked at need none. */
  createGraph?: boolean;
  /** Whether a ReLU removes negative values; without it the maps are signed. */
  relu?: boolean;
  /** Size [H, W] that the maps are resized to bilinearly, usually the size of the image. */
  upsample?: readonly [number, number];
  /** Whether each map is scaled to [0, 1] after upsampling; `true` uses eps 1e-8. */
  normalize?: boolean | NormalizeOptions;
  /**
   * The linear layer that reads the activations. With it, α has a closed form and needs no gradient with respect to the activations.
   * `weight` is (J, K) if the layer reads their global average, or (J, K·h·w) if it reads them flattened. `output` (B, J) must be the
   * same tensor that the next layer reads; it is left out if the layer gives the logits themselves. With E = ∂(Σ_b S[b, t_b]) / ∂output,
   * α = E · weight / (h·w). A weight that reads flattened maps is first summed over their pixels. This holds only for `output =
   * linear(mean(A) or flatten(A), weight, bias)`.
   */
  head?: CamHead;
  /**
   * Converts the layer's output and its gradient to (B, K, h, w), for layers whose outputs are tokens or channels-last. It must be
   * linear: a permutation, a selection or a change of shape.
   */
  reshapeTransform?: ReshapeTransform;
}

/**
 * Grad-CAM of a whole batch in one vector-Jacobian product, differentiable to the parameters:
 *
 *     G = ∂(Σ_b S[b, t_b]) / ∂A,  α[b,k] = mean_{h,w} G[b,k],  M[b] = ReLU(Σ_k α[b,k] · A[b,k])
 *
 * @param logits S (B, C), before softmax, computed from `activations` with their graph
 * @param activations A (B, K, h, w), the target layer's output, not detached; another shape with `reshapeTransform`
 * @param targets t (B), the class that each map explains, usually the label
 * @returns maps (B, h, w), or (B, H, W) if upsampled; float32 also under autocast (float64 stays)
 *
 * One sum is enough for the batch as long as no layer after A mixes samples. Batch norm in training mode after the target layer does, so
 * that G[b] then contains terms of other samples. The function writes no `.grad`, keeps the graph for the loss and has no other effects.
 *
 * Selvaraju et al., Grad-CAM, 2017; Ignesti, Moroni, Martinelli, Batch-CAM, arXiv 2510.00664.
 *
 * @throws E_SHAPE; E_ARGUMENT for a target out of range, an unknown option, or logits without a graph to the activations.
 */
export function batchCam(
  logits: Tensor,
  activations: Tensor,
  targets: Tensor | readonly number[],
  options: BatchCamOptions = {},
): Tensor {
  const { createGraph = true, relu = true, upsample, normalize = false, ...rest } = checkedOptions(options);
  const [A, alpha] = weighted(logits, activations, targets, { createGraph, ...rest });
  // Maps are computed in float32 under autocast too: if they were rounded to bfloat16 before they are scaled, they would lose a third of
  // their quality.
  return autocast({ enabled: false }, () => {
    const signed = weightedSum(A, alpha);
    return scaleMaps([signed], {
      relu,
      convention: "batch-cam",
      size: A.sizes.slice(2) as [number, number],
      upsample: upsample ?? false,
      normalize: normalize === true ? {} : normalize,
      dtype: signed.dtype,
    });
  });
}

/**
 * Computes the maps that a guided training step needs, the normalised ones at the images' size and the raw ones, in one
 * kernel, and which of them are dead.
 */
export function guidanceMaps(
  logits: Tensor,
  activations: Tensor,
  targets: Tensor | readonly number[],
  {
    size,
    eps,
    ...options
  }: Pick<BatchCamOptions, "order" | "head" | "reshapeTransform"> & { size: readonly [number, number]; eps: number },
): SizedMaps & { dead: Tensor } {
  const [A, alpha] = weighted(logits, activations, targets, checkedOptions(options));
  return autocast({ enabled: false }, () => {
    const sized = camMaps(A, alpha, { size, eps });
    return { ...sized, dead: areZero(sized.raw) };
  });
}

/** Which maps of (N, H, W) are dead, that is, zero everywhere after the ReLU: (N), bool. */
export function deadMaps(maps: Tensor): Tensor {
  expectMaps("deadMaps", maps);
  return areZero(maps);
}

const areZero = (maps: Tensor): Tensor => maps.detach().abs().amax([1, 2]).eq(0);

/** The activations and their weights α (B, K), each with the graph that the maps need. */
function weighted(
  logits: Tensor,
  activations: Tensor,
  targets: Tensor | readonly number[],
  { order = "second", createGraph = true, head, reshapeTransform = (output) => output }: BatchCamOptions,
): [Tensor, Tensor] {
  const maps = reshapeTransform(activations);
  const { B = 0, C = 0 } = expectShapes("batchCam", { logits: [logits, "B C"], activations: [maps, "B K h w"] });
  if (maps.numel === 0) {
    throw new BatchCamError("E_SHAPE", `batchCam: activations have no values, got [${activations.shape.join(", ")}]`);
  }
  const { tensor: classes } = readLabels("batchCam", targets, { count: B, numClasses: C });
  const second = createGraph && order === "second";
  const alpha = autocast({ enabled: false }, () => {
    if (head !== undefined) return headWeights(logits, maps, { classes, head, createGraph: second });
    const output = { name: "activations", tensor: activations };
    return reshapeTransform(targetGradient(logits, output, { classes, createGraph: second })).mean([2, 3]);
  });
  return [createGraph ? maps : maps.detach(), second ? alpha : alpha.detach()];
}

const OPTIONS = ["order", "createGraph", "relu", "upsample", "normalize", "head", "reshapeTransform"] as const;

function checkedOptions(options: BatchCamOptions): BatchCamOptions {
  const refuse = (option: string, expected: string, got: unknown): never => {
    throw new BatchCamError("E_ARGUMENT", `batchCam: ${option} must be ${expected}, got ${describeValue(got)}`);
  };
  optionsOf("batchCam", options, [...OPTIONS]);
  const { order, upsample, normalize, head, reshapeTransform } = options;
  if (reshapeTransform !== undefined) expectFunction("batchCam: reshapeTransform", reshapeTransform);
  if (order !== undefined && order !== "first" && order !== "second") refuse("order", '"first" or "second"', order);
  if (
    normalize !== undefined &&
    typeof normalize !== "boolean" &&
    (typeof normalize !== "object" || normalize === null)
  ) {
    refuse("normalize", "a boolean or { eps }", normalize);
  }
  if (upsample !== undefined) {
    const valid =
      Array.isArray(upsample) &&
      upsample.length === 2 &&
      upsample.every((side) => Number.isSafeInteger(side) && side > 0);
    if (!valid) refuse("upsample", "[height, width], integers > 0,", upsample);
  }
  if (head !== undefined && (typeof head !== "object" || head === null)) refuse("head", "{ weight, output }", head);
  return options;
}

interface HeadWeightsOptions {
  classes: Tensor;
  head: CamHead;
  createGraph: boolean;
}

/** The gradient ∂(Σ_b S[b, t_b]) / ∂tensor in the caller's forward pass, in the tensor's shape. */
function targetGradient(
  logits: Tensor,
  argument: { name: string; tensor: Tensor },
  { classes, createGraph }: Pick<HeadWeightsOptions, "classes" | "createGraph">,
): Tensor {
  return callersGradient({ operation: "batchCam", logits, ...argument, createGraph }, () =>
    classTarget(classes).score(logits),
  );
}

/** α (B, K) in closed form, for a linear head on the pooled or the flattened activations. */
function headWeights(
  logits: Tensor,
  activations: Tensor,
  { classes, head: { weight, output = logits, readout, pooled: known }, createGraph }: HeadWeightsOptions,
): Tensor {
  const {
    K = 0,
    h = 0,
    w = 0,
    columns,
  } = expectShapes("batchCam", {
    logits: [logits, "B C"],
    activations: [activations, "B K h w"],
    "head.output": [output, "B J"],
    "head.weight": [weight, "J columns"],
  });
  const flattened = columns === K * h * w;
  if (!flattened) expectShapes("batchCam", { activations: [activations, "B K h w"], "head.weight": [weight, "J K"] });
  const mean = () =>
    upcastHalf(weight)
      .view([-1, K, h * w])
      .mean(2); // (J, K)
  const pooled = flattened ? (known ?? mean()) : upcastHalf(weight).div(h * w);
  if (output === logits) return pooled.indexSelect(0, classes);
  if (readout === undefined)
    return targetGradient(logits, { name: "head.output", tensor: output }, { classes, createGraph }).mm(pooled);
  expectShapes("batchCam", {
    logits: [logits, "B C"],
    "head.output": [output, "B J"],
    "head.readout": [readout, "C J"],
  });
  const passed = output.detach().gt(0).to(pooled.dtype);
  return upcastHalf(readout).indexSelect(0, classes).mul(passed).mm(pooled);
}

/** Maps (B, H, W) in [0, 1], and the same maps before resizing and normalising, (B, h, w). */
export interface SizedMaps {
  maps: Tensor;
  raw: Tensor;
}

/** `normalizeMaps(interpolate(relu(Σ_k α_k · A_k)))` for A (B, K, h, w) and α (B, K), in one kernel if one supports them. */
export function camMaps(
  activations: Tensor,
  alpha: Tensor,
  { size, eps }: { size: readonly [number, number]; eps: number },
): SizedMaps {
  const known = (activations.dtype === "float32" || activations.dtype === "bfloat16") && activations.numel > 0;
  if (known && alpha.dtype === "float32" && eps > 0 && wantsFused())
    return fusedMaps(activations, alpha, { size, eps });
  const raw = weightedSum(activations, alpha).relu();
  return { maps: normalizeMaps(interpolate(raw, { size }), { eps }), raw };
}
