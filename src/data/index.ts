export { type Augmented, augment, inverseGeometry, warp } from "./augment/augment.ts";
export type { AugmentKey, AugmentOptions } from "./augment/draws.ts";
export {
  type Batch,
  type BatchPlan,
  type BatchSizes,
  balancedIndices,
  batchCount,
  batches,
  batchIndices,
  gatherBatch,
  gatherPixels,
  normalize,
} from "./batches/loader.ts";
export type { PrototypeShape } from "./batches/prototype-shape.ts";
export { prototypeShape } from "./batches/prototype-shape.ts";
export {
  classCounts,
  classMeanImages,
  type PrototypeOptions,
  type PrototypeStatistic,
  prototypes,
} from "./batches/prototypes.ts";
export { type Dataset, type DatasetOptions, disposeDataset } from "./dataset.ts";
export { type ImageFile, type ReadImageOptions, readImage } from "./images/image-file.ts";
export type { Background } from "./images/pixels.ts";
export type { ImageFit } from "./images/resize.ts";
export { loadDataset } from "./load-dataset.ts";
export type { EarlierSplit } from "./record/data-record.ts";
export type { DecoyCue, DecoyVariant } from "./sources/decoy.ts";
export { type IdxArray, type IdxData, readIdx } from "./sources/idx.ts";
export { type ListImagesOptions, listImages, type ReadImagesOptions, readImages } from "./sources/image-folder.ts";
export type { GivenImages, ImageLayout } from "./splits/given-images.ts";
export { disposeSplit, type Normalization, type Split, type SplitName } from "./splits/split.ts";
export { type GivenLabels, type SplitOptions, splitOf } from "./splits/split-of.ts";
export { selectImages, splitValidation, type ValidationOptions } from "./splits/validation-split.ts";
