// Names that other folders of the project use, in addition to the public ones (index.ts). This is not an entry of the package.
export { evaluateForReport } from "./evaluate/evaluate.ts";
export {
  type ExplanationMetrics,
  explanationMetrics,
  METRIC_DEFINITIONS,
  type MetricName,
  type MetricValue,
} from "./evaluate/explanation-metrics.ts";
export { SPURIOUS_DEFINITIONS, spuriousRecord } from "./evaluate/spurious.ts";
export {
  type ExplainedImageRecord,
  type ExplainedMap,
  explainImages,
  type TargetChoice,
} from "./explain/explain-images.ts";
export { fileBatches, problemWithPath, type SourceBatch, splitBatches } from "./explain/image-source.ts";
export { openExported, openExportedOn } from "./loaded-exported.ts";
export { type LoadedModel, type LoadedRun, openRun, openRunModel } from "./loaded-model.ts";
export { openWeights } from "./loaded-weights.ts";
export { MOST_NAMED, runsIn } from "./run-files.ts";
export {
  type AnalysedMethod,
  type AnalysisGroup,
  analyse,
  type Duel,
  type Effect,
  hasMixedData,
} from "./study/analysis.ts";
export { type DataDigests, dataDigests } from "./study/data-digests.ts";
export { TimeLeft } from "./study/estimate.ts";
export { type Grid, readGrid } from "./study/grid.ts";
export { runsOf, shareOf } from "./study/grid-runs.ts";
export type { MeasureId } from "./study/measures.ts";
export type { DoneRun, FailedRun, GridRun, GridRunRecord, MethodKind, RunSamples } from "./study/records.ts";
export { type GridEvent, runGrid } from "./study/run-grid.ts";
export { type GridSettings, type Setting, type SettingsRow, settingsOf } from "./study/settings.ts";
export { type SpuriousRow, summariseSpurious } from "./study/spurious-summary.ts";
export { type RunState, Store } from "./study/store.ts";
export { type Spread, type SummaryRow, summarise } from "./study/summary.ts";
