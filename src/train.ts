// The entry point `batch-cam/train`.

export { writeReport } from "./cli/internal.ts";
export type { TrainConfig, TrainConfigInput } from "./config/index.ts";
export {
  type EventKind,
  type ModuleRecord,
  type OperatorRecord,
  type PhaseRecord,
  type Profile,
  type ProfileOptions,
  type ProfileReport,
  profile,
  type RecordedEvent,
  type ShapeRecord,
  writeTrace,
} from "./profile/index.ts";
export { createTensorBoardLog, type TensorBoardLog } from "./report/internal.ts";
export { phase } from "./tensor/internal.ts";
export * from "./train/index.ts";
export {
  type CueSet,
  type EvaluateOptions,
  type Evaluation,
  evaluate,
  evaluateSamples,
  evaluateSpurious,
  type RunDataOptions,
  type SpuriousOptions,
  type SpuriousRecord,
} from "./workflows/index.ts";
