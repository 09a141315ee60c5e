import type { Tensor } from "./tensor.ts";

/**
 * Images (N, C, H, W) laid out channels last, which convolutions, norms and pools then pass on. Of one channel both layouts
 * are the same memory; the strides decide which one libtorch takes it for.
 */
export function channelsLast(images: Tensor): Tensor {
  const [count, channels, height, width] = images.sizes as [number, number, number, number];
  const pixels = channels === 1 ? images.reshape([count, height, width, 1]) : images.permute([0, 2, 3, 1]).contiguous();
  return pixels.permute([0, 3, 1, 2]);
}
