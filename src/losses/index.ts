export { CamEma } from "./cam-ema.ts";
export type { DistanceName } from "./description.ts";
export { type Distance, distanceOf, l1, l2, type SsimOptions, ssim, ssimDistance, ssimWindow } from "./distance.ts";
export { type BatchCamLossOptions, batchCamLoss, crossEntropy, prototypeLoss } from "./map-losses.ts";
