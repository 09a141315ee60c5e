export { type Augmented, augment, inverseGeometry, warp } from "./augment.ts";
export type { AugmentKey, AugmentOptions } from "./augment-draws.ts";
export { type Dataset, type DatasetOptions, disposeDataset, loadDataset } from "./dataset.ts";
export type { DecoyCue, DecoyVariant } from "./decoy.ts";
export { type IdxArray, type IdxData, parseIdx, readIdx } from "./idx.ts";
export { type ImageFile, type ReadImageOptions, readImage } from "./image-file.ts";
export type { ImageFit } from "./image-fit.ts";
export { listImages, type ReadImagesOptions, readImages } from "./image-folder.ts";
export {
  type Batch,
  type BatchPlan,
  balancedIndices,
  batchCount,
  batches,
  batchIndices,
  gatherBatch,
  gatherPixels,
  normalize,
} from "./loader.ts";
export { prototypeShape } from "./prototype-shape.ts";
export {
  classCounts,
  classMeanImages,
  type PrototypeOptions,
  type PrototypeStatistic,
  prototypes,
} from "./prototypes.ts";
export type { PrototypeShape } from "./shape-sentence.ts";
export { disposeSplit, type Normalization, type Split } from "./split.ts";
export { type SplitOptions, splitOf } from "./split-of.ts";
export { selectImages, splitValidation, type ValidationOptions } from "./validation-split.ts";
