import type { ConvOptions, Pair, Tensor } from "../tensor/index.ts";
import { pairOf } from "../tensor/layers.ts";
import type { Conv2d } from "./conv2d.ts";

/** ⌊(side + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1 of both sides. */
export function outputSize(sides: readonly number[], kernel: readonly number[], options: ConvOptions): number[] {
  const { stride = 1, padding = 0, dilation = 1 } = options;
  return sides.map((side, axis) => {
    const of = (pair: Pair) => (typeof pair === "number" ? pair : (pair[axis] as number));
    const reach = of(dilation) * ((kernel[axis] as number) - 1) + 1;
    return Math.floor((side + 2 * of(padding) - reach) / of(stride)) + 1;
  });
}

/** Stride and padding of a convolution that the fused path knows: square and dense; null for others. */
export function squareWindow({ weight, options }: Conv2d): { stride: number; padding: number } | null {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  const side = ([height, width]: readonly number[]) => (height === width ? (height ?? null) : null);
  const [kernel, s, p] = [side(weight.sizes.slice(2)), side(pairOf(stride)), side(pairOf(padding))];
  const dense = groups === 1 && side(pairOf(dilation)) === 1;
  return dense && weight.numel > 0 && kernel !== null && s !== null && p !== null && p < kernel
    ? { stride: s, padding: p }
    : null;
}

/** Whether x is images (N, C, H, W) with values that a convolution takes, and of whose result `least` pixels a side are left. */
export function takes({ weight, inChannels, options }: Conv2d, x: Tensor, least = 1): boolean {
  if (x.ndim !== 4 || x.sizes[1] !== inChannels || x.sizes.includes(0)) return false;
  return outputSize(x.sizes.slice(2), weight.sizes.slice(2), options).every((side) => side >= least);
}
