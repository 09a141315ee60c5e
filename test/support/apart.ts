import { randn, type Tensor } from "../../src/tensor/index.ts";

export const double = (t: Tensor): Tensor => t.to("float64");

const length = (t: Tensor): number => double(t).square().sum().sqrt().item();

/** ‖a − b‖ / ‖b‖, in float64. */
export const apart = (a: Tensor, b: Tensor): number => length(double(a).sub(double(b))) / Math.max(length(b), 1e-12);

/** A copy of the values that starts a new graph. */
export const fresh = (t: Tensor): Tensor => t.detach().requiresGrad_();

/** Random maps (N, C, H, W) in channels-last memory format. */
export const channelsLast = (...[n, c, h, w]: [number, number, number, number]): Tensor =>
  randn([n, h, w, c]).permute([0, 3, 1, 2]);
