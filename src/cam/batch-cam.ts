import { describeValue, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { autocast, interpolate, type Tensor } from "../tensor/index.ts";
import { expectShapes, camMaps as fusedMaps, readLabels, upcastHalf, wantsFused } from "../tensor/internal.ts";
import { weightedSum } from "./gradient-methods.ts";
import { type NormalizeOptions, normalizeMaps, scaleMaps } from "./normalize.ts";
import { classTarget } from "./options.ts";
import { callersGradient } from "./target-gradient.ts";

export interface CamHead {
  readonly weight: Tensor;
  readonly output?: Tensor;
  /** (C, J), given if the logits are `linear(relu(output), readout, bias)`: α then needs no gradient. */
  readonly readout?: Tensor;
  /** (J, K): the mean of the weight over its pixels, if it has any and the mean is already known. */
  readonly pooled?: Tensor | undefined;
}

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
   * The linear layer that reads the activations, for α in closed form, without differentiating down to them: its `weight`,
   * (J, K) if it reads their global average or (J, K·h·w) if it reads them flattened, and its `output` (B, J), the
   * very tensor that the next layer reads; left out if the layer gives the logits themselves. With E = ∂(Σ_b S[b, t_b]) /
   * ∂output, α = E · weight / (h·w), with the weight summed over the pixels if it has any. Only for
   * `output = linear(mean(A) or flatten(A), weight, bias)`.
   */
  head?: CamHead;
}

/**
 * Grad-CAM of a whole batch in one vector-Jacobian product, differentiable to the parameters:
 *
 *     G = ∂(Σ_b S[b, t_b]) / ∂A,  α[b,k] = mean_{h,w} G[b,k],  M[b] = ReLU(Σ_k α[b,k] · A[b,k])
 *
 * @param logits S (B, C), before softmax, computed from `activations` with their graph
 * @param activations A (B, K, h, w), the target layer's output, not detached
 * @param targets t (B), the class that each map explains, as a rule the label
 * @returns maps (B, h, w), or (B, H, W) if upsampled; float32 also under autocast (float64 stays)
 *
 * One sum serves the batch as long as nothing after A mixes samples; batch norm after the target layer in train mode does,
 * and G[b] then holds cross-sample terms. Writes no `.grad`, keeps the graph for the loss, leaves nothing behind.
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
  // Maps stay float32 under autocast: rounded to bfloat16 before they are scaled, they would lose a third of their quality.
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
 * The maps that a guided training step needs: normalised at the images' size, and raw. One kernel computes both.
 */
export function guidanceMaps(
  logits: Tensor,
  activations: Tensor,
  targets: Tensor | readonly number[],
  { size, eps, ...options }: Pick<BatchCamOptions, "order" | "head"> & { size: readonly [number, number]; eps: number },
): SizedMaps {
  const [A, alpha] = weighted(logits, activations, targets, checkedOptions(options));
  return autocast({ enabled: false }, () => camMaps(A, alpha, { size, eps }));
}

/** The activations and their weights α (B, K), each with the graph that the maps are to have. */
function weighted(
  logits: Tensor,
  activations: Tensor,
  targets: Tensor | readonly number[],
  { order = "second", createGraph = true, head }: BatchCamOptions,
): [Tensor, Tensor] {
  const { B = 0, C = 0 } = expectShapes("batchCam", { logits: [logits, "B C"], activations: [activations, "B K h w"] });
  if (activations.numel === 0) {
    throw new BatchCamError("E_SHAPE", `batchCam: activations hold no value, got [${activations.shape.join(", ")}]`);
  }
  const { tensor: classes } = readLabels("batchCam", targets, { count: B, numClasses: C });
  const second = createGraph && order === "second";
  const alpha = autocast({ enabled: false }, () =>
    head === undefined
      ? targetGradient(logits, { name: "activations", tensor: activations }, { classes, createGraph: second }).mean([
          2, 3,
        ])
      : headWeights(logits, activations, { classes, head, createGraph: second }),
  );
  return [createGraph ? activations : activations.detach(), second ? alpha : alpha.detach()];
}

function checkedOptions(options: BatchCamOptions): BatchCamOptions {
  const refuse = (option: string, expected: string, got: unknown): never => {
    throw new BatchCamError("E_ARGUMENT", `batchCam: ${option} must be ${expected}, got ${describeValue(got)}`);
  };
  optionsOf("batchCam", options, ["order", "createGraph", "relu", "upsample", "normalize", "head"]);
  const { order, upsample, normalize, head } = options;
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

/** ∂(Σ_b S[b, t_b]) / ∂tensor, of the tensor's shape, in the caller's forward pass. */
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
