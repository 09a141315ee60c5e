import { expectBoolean } from "../arguments.ts";
import { native } from "../engine/internal.ts";
import { autocastDtype, countChange, isGradEnabled } from "./autograd.ts";
import { tidy } from "./core.ts";
import { zeros } from "./create.ts";
import * as aten from "./generated/aten.ts";
import { type ConvOptions, pairOf } from "./layers.ts";
import { Tensor } from "./tensor.ts";

/** The weights of a ConvNeXt-V2 block after its depthwise convolution; `fc1` is (4C, C) and `fc2` (C, 4C). */
export interface ConvNextMlpWeights {
  norm: { weight: Tensor; bias: Tensor; eps: number };
  fc1: { weight: Tensor; bias: Tensor };
  grn: { weight: Tensor; bias: Tensor; eps: number };
  fc2: { weight: Tensor; bias: Tensor };
}

/** Whether there are products of small matrices, which `convNextMlp` needs, for a dtype on this processor. */
const { productsFloat32, productsBfloat16 } = native.capabilities();

/** The dtype in which a fused kernel processes x: that of autocast, or otherwise that of x; null if the kernels do not support it. */
export function fusedDtype(x: Tensor): "float32" | "bfloat16" | null {
  const dtype = x.dtype === "float32" || x.dtype === "bfloat16" ? (autocastDtype() ?? x.dtype) : null;
  return dtype === "float32" || dtype === "bfloat16" ? dtype : null;
}

/** Whether `convNextMlp` supports a dtype on this processor for maps of so many channels, which are multiplied in pairs in bfloat16. */
export const hasConvNextMlp = (dtype: "float32" | "bfloat16", channels = 2): boolean =>
  dtype === "float32" ? productsFloat32 : productsBfloat16 && channels % 2 === 0;

/**
 * residual + fc2(grn(gelu(fc1(norm(x))))) over the channels of x (N, H, W, C), float32 or bfloat16; weights float32. The hidden
 * layer stays in the processor's cache; the backward pass computes it again.
 */
export function convNextMlp(x: Tensor, residual: Tensor, { norm, fc1, grn, fc2 }: ConvNextMlpWeights): Tensor {
  const products = [fc1.weight, fc1.bias, grn.weight, grn.bias, fc2.weight, fc2.bias] as const;
  return new Tensor(aten.batchCamConvnextMlp(x, residual, norm.weight, norm.bias, ...products, norm.eps, grn.eps));
}

/** Depthwise convolution of x (N, H, W, C) with w (C, 1, k, k), k of 3, 5 or 7, stride 1 and padding ⌊k / 2⌋. */
export function depthwiseConv(x: Tensor, w: Tensor, bias: Tensor): Tensor {
  return new Tensor(aten.batchCamDepthwiseConv(x, w, bias));
}

/** (x − mean x) / √(var x + eps) · weight + bias over the last dimension of x, float32 or bfloat16; weight and bias float32. */
export function layerNormOf(x: Tensor, { weight, bias, eps }: { weight: Tensor; bias: Tensor; eps: number }): Tensor {
  return new Tensor(aten.batchCamLayerNorm(x, weight, bias, eps));
}

/**
 * Convolution of x (N, C, H, W) with w (K, C, k, k), channels-last; each pass uses the kernel that is fastest for its shape.
 */
export function convolution(x: Tensor, w: Tensor, { stride, padding }: { stride: number; padding: number }): Tensor {
  return new Tensor(aten.batchCamConvolution(x, w, stride, padding));
}

/** Whether `winogradConv` supports images (N, C, H, W) of a dtype with weights (K, C, k, k). */
export function hasWinogradConv(
  [images = 0, inner = 0, height = 0, width = 0]: readonly number[],
  [outer = 0, own = 0, kernel = 0]: readonly number[],
  { stride, padding, dtype }: { stride: number; padding: number; dtype: "float32" | "bfloat16" },
): boolean {
  if (kernel !== 3 || stride !== 1 || own !== inner || padding > 2) return false;
  return native.supportsWinograd(images, inner, outer, height, width, padding, dtype === "bfloat16");
}

/**
 * relu(conv2d(x, w, bias) + add) by Winograd's method, without a gradient, channels-last. x and add are float32 or bfloat16, w and bias
 * float32.
 */
export function winogradConv(
  x: Tensor,
  [w, bias]: readonly [Tensor, Tensor],
  { padding, add, relu }: { padding: number; add?: Tensor | undefined; relu: boolean },
): Tensor {
  return new Tensor(aten.batchCamWinogradConv(x, w, bias, add, padding, relu));
}

export interface ConvReluOptions {
  stride: number;
  padding: number;
  /** Whether max-pooling over windows of 2x2 pixels follows. */
  pool: boolean;
}

/** relu(convolution(x, w) + bias), with max-pooling if `pool` is set; layout and dtypes are those of `convolution`. */
export function convRelu(x: Tensor, w: Tensor, bias: Tensor, { stride, padding, pool }: ConvReluOptions): Tensor {
  return new Tensor(aten.batchCamConvRelu(x, w, bias, stride, padding, pool));
}

export interface BatchNormActOptions {
  weight: Tensor;
  bias: Tensor;
  runningMean: Tensor;
  runningVar: Tensor;
  momentum: number;
  eps: number;
  /** A tensor that is added after the norm. */
  add?: Tensor | undefined;
  /** Whether a ReLU follows. */
  relu: boolean;
}

/** relu(batchNorm(x) + add) of x (N, C, H, W), channels-last, with the batch's statistics. It updates the running statistics. */
export function batchNormAct(x: Tensor, options: BatchNormActOptions): Tensor {
  const { weight, bias, runningMean, runningVar, momentum, eps, add, relu } = options;
  const result = aten.batchCamBatchNormAct(x, weight, bias, runningMean, runningVar, add, relu, momentum, eps);
  for (const changed of [runningMean, runningVar]) countChange(changed);
  return new Tensor(result);
}

/**
 * Maps of A (B, K, h, w) with α (B, K), float32: M = relu(Σ_k α_k · A_k), resized bilinearly to (B, height, width), and
 * scaled to (M − min) / (max − min + eps); the second result is M before resizing, (B, h, w). A constant map gives
 * zeros.
 */
export function camMaps(
  activations: Tensor,
  alpha: Tensor,
  { size: [height, width], eps }: { size: readonly [number, number]; eps: number },
): { maps: Tensor; raw: Tensor } {
  const [maps, raw] = aten.batchCamCamMaps(activations, alpha, height, width, eps);
  return { maps: new Tensor(maps), raw: new Tensor(raw) };
}

/** x·wᵀ + bias of flattened maps x (N, K, h, w) with w (J, K·h·w), (N, J); and the mean of w over its pixels, (J, K). */
export function flatLinear(x: Tensor, w: Tensor, bias: Tensor): { output: Tensor; pooled: Tensor } {
  const [output, pooled] = aten.batchCamFlatLinear(x, w, bias);
  return { output: new Tensor(output), pooled: new Tensor(pooled) };
}

/** The distances that the fused kernel supports. */
export type DistanceKernel = keyof typeof KINDS;

const KINDS = { l1: 0, l2: 1, ssim: 2 } as const;

/** Window and constants of SSIM. */
export interface SsimWindow {
  /** (side) */
  window: Tensor;
  c1: number;
  c2: number;
}

/** The distances between x and y, both float32 (N, H, W): (N). y must not require gradients. The window is float32. */
export function mapDistance(
  kind: DistanceKernel,
  [x, y]: readonly [Tensor, Tensor],
  { window, c1, c2 }: SsimWindow,
): Tensor {
  return new Tensor(aten.batchCamMapDistance(x, y, KINDS[kind], window, c1, c2));
}

/**
 * SSIM of x and y (N, H, W): (N), in their dtype, differentiable to any order. It is computed in float64, after
 * subtracting a whole multiple of the images' range.
 */
export function ssimOf([x, y]: readonly [Tensor, Tensor], { window, c1, c2 }: SsimWindow, range: number): Tensor {
  return new Tensor(aten.batchCamSsim(x, y, window, c1, c2, range));
}

/** Images of a data set, uint8 (N, C, H, W), the indices (int32) of a batch, and the mean and deviation of each channel. */
export interface ImageSource {
  images: Tensor;
  indices: Tensor;
  mean: Tensor;
  std: Tensor;
}

/** (x / 255 − mean) / std in one pass: float32 (B, C, H, W), bit for bit the result of separate operators. */
export function gatherImages({ images, indices, mean, std }: ImageSource, channelsLast: boolean): Tensor {
  return new Tensor(aten.batchCamGatherImages(images, indices, mean, std, channelsLast));
}

export interface ImageChanges {
  /** (B, 2, 3), float32: maps positions of the new image to positions of the old one, in coordinates from −1 to 1. */
  geometry: Tensor;
  /** (B·C, 256), float32: the new value of each shade, in [0, 1]; or (1, 256) for all channels. */
  shades: Tensor;
  /** (B, 4), int32: top, left, bottom and right pixel of the rectangle that becomes grey; it is empty if top equals bottom. */
  rectangles: Tensor;
}

/**
 * Gathers images as `gatherImages` does and augments them: shades are replaced, positions are mapped (bilinearly, with the border
 * repeated), and a rectangle is erased.
 */
export function augmentImages(
  { images, indices, mean, std }: ImageSource,
  { geometry, shades, rectangles }: ImageChanges,
  channelsLast: boolean,
): Tensor {
  return new Tensor(aten.batchCamAugmentImages(images, indices, geometry, shades, rectangles, mean, std, channelsLast));
}

/** Whether kernels that replace several layers are used: those of inference, and those that record a graph. */
const enabled = { inference: true, training: true };

/** Switches the fused kernels of inference on (the default) or off, and returns the previous state. */
export function setFusedInference(value: boolean): boolean {
  return change("inference", value, "setFusedInference: enabled");
}

/**
 * Switches the fused kernels of training on (the default) or off, and returns the previous state. Without them each layer runs
 * separately.
 */
export function setFusedTraining(value: boolean): boolean {
  return change("training", value, "setFusedTraining: enabled");
}

function change(purpose: keyof typeof enabled, value: boolean, place: string): boolean {
  expectBoolean(place, value);
  const before = enabled[purpose];
  enabled[purpose] = value;
  return before;
}

/** Whether fused kernels are switched on: those of training if a graph is recorded, otherwise those of inference. */
export const wantsFused = (): boolean => enabled[isGradEnabled() ? "training" : "inference"];

export interface FusedConvOptions extends ConvOptions {
  /** A tensor that is added to the result of the convolution. */
  add?: Tensor | undefined;
  /** Whether a ReLU follows. */
  relu?: boolean;
}

/** Whether this libtorch has oneDNN's convolution with fused post-operations, as its x86 builds do. */
export const hasFusedConv: boolean =
  native.capabilities().mkldnn && native.resolve("mkldnn::_convolution_pointwise", "") >= 0;

let takesBfloat16: boolean | undefined;

/**
 * Whether `fusedConv` supports bfloat16 on this processor. oneDNN refuses it on processors without AVX-512 or AVX-NE-CONVERT. libtorch
 * has no function that reports this, so packing one weight is tried.
 */
export function fusedConvTakesBfloat16(): boolean {
  if (takesBfloat16 === undefined) {
    try {
      tidy(() => void packConvWeight(zeros([1, 1, 1, 1], { dtype: "bfloat16" }), [1, 1, 1, 1], {}));
      takesBfloat16 = true;
    } catch {
      takesBfloat16 = false;
    }
  }
  return takesBfloat16;
}

/** The weight in oneDNN's blocked layout for images of a size (N, C, H, W); only `fusedConv` can read it. */
export function packConvWeight(weight: Tensor, size: readonly number[], options: ConvOptions): Tensor {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  const [p, s, d] = [pairOf(padding), pairOf(stride), pairOf(dilation)];
  return new Tensor(aten.mkldnnReorderConvolutionWeight(weight, p, s, d, groups, size));
}

/** relu(conv2d(x, w, bias) + add) in one kernel, without a gradient. x, bias and add have the weight's dtype. */
export function fusedConv(x: Tensor, weight: Tensor, bias: Tensor, options: FusedConvOptions): Tensor {
  const { stride = 1, padding = 0, dilation = 1, groups = 1, add, relu = false } = options;
  const [p, s, d] = [pairOf(padding), pairOf(stride), pairOf(dilation)];
  if (add === undefined) {
    const end = relu ? "relu" : "none";
    return new Tensor(aten.mkldnnConvolutionPointwise(x, weight, bias, p, s, d, groups, end, [], undefined));
  }
  const end = relu ? "relu" : undefined;
  return new Tensor(
    aten.mkldnnConvolutionPointwiseBinary(x, add, weight, bias, p, s, d, groups, "add", 1, end, [], undefined),
  );
}
