import { native } from "../native/addon.ts";
import * as aten from "./generated/aten.ts";
import type { ConvOptions } from "./layers.ts";
import { pairOf } from "./layers.ts";
import { Tensor } from "./tensor.ts";

export interface FusedConvOptions extends ConvOptions {
  /** Added to the result of the convolution. */
  add?: Tensor | undefined;
  /** Whether a ReLU follows. */
  relu?: boolean;
}

/** Whether this libtorch has oneDNN's convolution with fused post-operations, as its x86 builds do. */
export const hasFusedConv: boolean =
  native.capabilities().mkldnn && native.resolve("mkldnn::_convolution_pointwise", "") >= 0;

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
