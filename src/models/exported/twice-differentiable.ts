import { type Tensor, where, zerosLike } from "../../tensor/index.ts";
import { type CallValue, callOperator, findOperator, type OperatorSchema } from "../../tensor/internal.ts";
import type { ArgumentValues } from "./graph-plan.ts";

// Maps are gradients, and a loss on maps differentiates them again. libtorch has no second derivative of these operators, or
// one that is NaN at 0. While a graph is recorded they are therefore composed of operators that can be differentiated twice. Which
// operators need it was found by differentiating every operator of image networks twice; the test repeats that.

export type Composition = (values: ArgumentValues, plain: () => CallValue) => CallValue;

/** The composition that replaces an operator; null if libtorch can differentiate it twice. */
export const twiceDifferentiable = (base: string): Composition | null =>
  Object.hasOwn(COMPOSITIONS, base) ? (COMPOSITIONS[base] as Composition) : null;

const COMPOSITIONS: Readonly<Record<string, Composition>> = {
  scaled_dot_product_attention: attention,
  // relu6(x + 3) / 6
  hardsigmoid: ({ self }) => (self as Tensor).add(3).clamp(0, 6).div(6),
  native_channel_shuffle: channelShuffle,
  linalg_vector_norm: (values, plain) => euclideanNorm({ ...values, p: values.ord ?? null }, plain),
  norm: euclideanNorm,
  cdist,
  _cdist_forward: cdist,
  pairwise_distance: pairwiseDistance,
  _weight_norm: weightNorm,
  grid_sampler: gridSampler,
  grid_sampler_2d: gridSampler,
};

const found = (name: string): OperatorSchema => findOperator(name, "") as OperatorSchema;

/** libtorch's own composition, softmax(q kᵀ · scale + mask) v, in the place of its fused kernels. */
function attention({
  query,
  key,
  value,
  attn_mask,
  dropout_p,
  is_causal,
  scale,
  enable_gqa,
}: ArgumentValues): CallValue {
  const math = found("aten::_scaled_dot_product_attention_math");
  const mask = addedMask(attn_mask as Tensor | null, query as Tensor);
  const inputs = [query, key, value, mask, dropout_p, is_causal, null, scale, enable_gqa];
  return (callOperator(math, inputs.slice(0, math.args.length)) as Tensor[])[0] as Tensor;
}

/** A boolean mask as the one that is added to the products: the composition takes no other. */
function addedMask(mask: Tensor | null, { dtype }: Tensor): Tensor | null {
  if (mask?.dtype !== "bool") return mask;
  return zerosLike(mask).to(dtype).maskedFill(mask.logicalNot(), Number.NEGATIVE_INFINITY);
}

/** (N, g·c, …) to (N, c·g, …). */
function channelShuffle({ self, groups }: ArgumentValues): Tensor {
  const x = self as Tensor;
  const [batch = 0, channels = 0, ...rest] = x.sizes;
  const count = groups as number;
  return x
    .reshape([batch, count, channels / count, ...rest])
    .transpose(1, 2)
    .reshape([batch, channels, ...rest]);
}

/** ‖x‖₂, whose gradient is 0 at 0, to any order. */
function euclideanNorm({ self, p, dim, keepdim, dtype }: ArgumentValues, plain: () => CallValue): CallValue {
  const x = self as Tensor;
  const isPlain =
    (p !== null && p !== undefined && p !== 2) || (dtype !== null && dtype !== undefined) || x.numel === 0;
  if (isPlain || !x.dtype.includes("float")) return plain();
  const given = dim === null || dim === undefined ? [] : [dim].flat();
  const dims = given.length === 0 ? x.sizes.map((_size, axis) => axis) : (given as number[]);
  if (dims.length === 0) return plain();
  const squared = x.square().sum(dims, { keepDims: keepdim === true });
  const zero = squared.eq(0);
  return squared.maskedFill(zero, 1).sqrt().maskedFill(zero, 0);
}

/** ‖a − b‖ₚ of each vector of (…, P, M) and each of (…, R, M): (…, P, R). */
function cdist({ x1, x2, p }: ArgumentValues, plain: () => CallValue): CallValue {
  const [left, right] = [x1 as Tensor, x2 as Tensor];
  const [first, second] = [left.unsqueeze(-2), right.unsqueeze(-3)];
  if (left.numel === 0 || right.numel === 0) return plain();
  return distanceAlong(first.sub(second), (p as number | null) ?? 2);
}

/** ‖a − b + eps‖ₚ along the last dimension. */
function pairwiseDistance({ x1, x2, p, eps, keepdim }: ArgumentValues): CallValue {
  const difference = (x1 as Tensor).sub(x2 as Tensor).add((eps as number | null) ?? 1e-6);
  const distance = distanceAlong(difference, (p as number | null) ?? 2);
  return keepdim === true ? distance.unsqueeze(-1) : distance;
}

/** ‖x‖ₚ along the last dimension, whose gradient is 0 at 0. */
function distanceAlong(x: Tensor, p: number): Tensor {
  if (p === 0) return x.ne(0).to(x.dtype).sum([-1]);
  if (p === 1) return x.abs().sum([-1]);
  if (p === Number.POSITIVE_INFINITY) return x.abs().amax([-1]);
  const zeros = x.eq(0);
  const powers = x.abs().maskedFill(zeros, 1).pow(p).maskedFill(zeros, 0).sum([-1]);
  const zero = powers.eq(0);
  return powers
    .maskedFill(zero, 1)
    .pow(1 / p)
    .maskedFill(zero, 0);
}

/** v · g / ‖v‖, the norm over all dimensions but one. */
function weightNorm({ v, g, dim }: ArgumentValues): Tensor {
  const weight = v as Tensor;
  const others = weight.sizes.map((_size, axis) => axis).filter((axis) => axis !== dim);
  return weight.mul((g as Tensor).div(weight.square().sum(others, { keepDims: true }).sqrt()));
}

/** Bilinear sampling at positions in [-1, 1], with zeros or the border outside, by the four pixels around each position. */
function gridSampler(values: ArgumentValues, plain: () => CallValue): CallValue {
  const { input, grid, interpolation_mode: mode, padding_mode: padding, align_corners: corners } = values;
  const [x, positions] = [input as Tensor, grid as Tensor];
  if (x.ndim !== 4 || mode !== 0 || (padding !== 0 && padding !== 1)) return plain();
  const [batch = 0, channels = 0, height = 0, width = 0] = x.sizes;
  const pixel = (axis: number, size: number): Tensor => {
    const unit = positions.select(3, axis);
    const place = corners === true ? unit.add(1).mul((size - 1) / 2) : unit.add(1).mul(size).sub(1).div(2);
    return padding === 1 ? place.clamp(0, size - 1) : place;
  };
  const [px, py] = [pixel(0, width), pixel(1, height)];
  const flat = x.reshape([batch, channels, height * width]);
  const corner = (dx: number, dy: number): Tensor => {
    const [cx, cy] = [px.detach().floor().add(dx), py.detach().floor().add(dy)];
    const weight = px.sub(cx).abs().neg().add(1).mul(py.sub(cy).abs().neg().add(1));
    const inside = cx
      .ge(0)
      .logicalAnd(cx.le(width - 1))
      .logicalAnd(cy.ge(0))
      .logicalAnd(cy.le(height - 1));
    const index = cy
      .clamp(0, height - 1)
      .mul(width)
      .add(cx.clamp(0, width - 1))
      .to("int64");
    const [, rows = 0, columns = 0] = index.sizes;
    const places = index.reshape([batch, 1, rows * columns]).expand([batch, channels, rows * columns]);
    const own = flat.gather(2, places).reshape([batch, channels, rows, columns]);
    return own.mul(where(inside, weight, weight.mul(0)).unsqueeze(1));
  };
  return corner(0, 0).add(corner(1, 0)).add(corner(0, 1)).add(corner(1, 1));
}
