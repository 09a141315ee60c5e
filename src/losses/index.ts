export { batchCamLoss, type BatchCamLossOptions } from "./batch-cam-loss.ts";
export { CamEma } from "./cam-ema.ts";
export { crossEntropy } from "./cross-entropy.ts";
export { type Distance, type DistanceName, distanceOf, l1, l2 } from "./distance.ts";
export { prototypeLoss } from "./prototype.ts";
export { ssim, ssimDistance, type SsimOptions, ssimWindow } from "./ssim.ts";
