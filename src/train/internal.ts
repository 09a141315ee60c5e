// Names that other folders of the project use, in addition to the public ones (index.ts). This is not an entry of the package.
export { datasetOptions, heldOutValidation, type JudgedSplit, loadData } from "./data/configured-data.ts";
export { comparePrototypes, type KnownData, loadKnownData } from "./data/known-data.ts";
export {
  type BroughtNormalization,
  broughtNormalization,
  chosenNormalization,
  normalizationNote,
  normalizationOfExported,
} from "./data/normalization.ts";
export { limitTest } from "./data/owned-splits.ts";
export { type RunData, readRunData } from "./data/run-data.ts";
export { lastValidated, patienceFrom } from "./loop/best-epoch.ts";
export { unlessAborted } from "./loop/epoch-end.ts";
export { prototypeOptions } from "./loop/guided-prototypes.ts";
export { inPrecision, precisionOf, usesBfloat16 } from "./loop/precision.ts";
export { explainTrueClasses, firstOfEachClass } from "./loop/validation.ts";
export { disposeAll, lastCheckpoint, loadCheckpointed } from "./run/checkpoint.ts";
export {
  DECISIVE,
  environmentInWords,
  environmentUntil,
  type RunEnvironment,
  readEnvironment,
} from "./run/environment.ts";
export { expectImagesFor, exportedOfRun, fitExported, openFloat32, withImagesOf } from "./run/exported-run.ts";
export { camLayerOf, type ImagesAndClasses, modelFor } from "./run/from-config.ts";
export { describeModel, expectNetwork } from "./run/given-model.ts";
export { callOf, expectModelOfRun, readGiven } from "./run/given-parts.ts";
export { recordedPrecision } from "./run/measured-precision.ts";
export { type LogRow, readLog } from "./run/metrics-log.ts";
export { CONFIG } from "./run/run-file-names.ts";
export { claimFile, holderOf, lockRun, RUN_LOCK } from "./run/run-lock.ts";
export { continueOrRestart } from "./run/run-start.ts";
export type { ModelWithData } from "./run/session-state.ts";
