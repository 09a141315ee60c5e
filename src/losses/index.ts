export { type BatchCamLossOptions, batchCamLoss } from "./batch-cam-loss.ts";
export { CamEma } from "./cam-ema.ts";
export { crossEntropy } from "./cross-entropy.ts";
export type { DistanceName } from "./description.ts";
export { type Distance, distanceOf, l1, l2 } from "./distance.ts";
export { prototypeLoss } from "./prototype.ts";
export { type SsimOptions, ssim, ssimDistance, ssimWindow } from "./ssim.ts";
