// Names that other folders of the project use, in addition to the public ones (index.ts). This is not an entry of the package.
export { gatherAugmented } from "./augment/augment.ts";
export { augments } from "./augment/draws.ts";
export { batchBounds, gatherLabelled, gatherUnchecked } from "./batches/loader.ts";
export { describeShape } from "./batches/prototype-shape.ts";
export { placesOfAllClasses } from "./batches/prototypes.ts";
export { type RandomSource, randomBelow, randomSource } from "./batches/random.ts";
export { imageHashes } from "./record/content-hashes.ts";
export { dataDifferences, leftOutDifferences } from "./record/data-differences.ts";
export {
  contentDigest,
  type DataRecord,
  dataRecord,
  earlierSplits,
  joinedRecord,
  listedIn,
  packRecord,
  unpackRecord,
} from "./record/data-record.ts";
export { datasetDigest, rootOf } from "./record/dataset-digest.ts";
export { type IdenticalImages, identicalImages, identicalWarnings } from "./record/identical-images.ts";
export { inRecordedOrder, underClassesOf } from "./record/known-classes.ts";
export { missingFolders, type Renaming, renamingRemedy, renamings, renamingText } from "./record/renamed.ts";
export { CUE_SETS, type CuedImages, type CueSet, readCueSets } from "./sources/cue-sets.ts";
export { DECOY_SIDE } from "./sources/decoy.ts";
export { problemList, unreadableError } from "./sources/reading-notes.ts";
export { coverageWarnings, type ThinClass, thinClasses, thinWarnings } from "./splits/class-coverage.ts";
export { lowestDraws, steadyFraction } from "./splits/held-out.ts";
export { expectSplit, IMAGENET_NORMALIZATION, NO_NORMALIZATION, normalizationForChannels } from "./splits/split.ts";
export { drawValidation } from "./splits/validation-split.ts";
