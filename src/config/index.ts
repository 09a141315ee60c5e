export { CompareConfig, type CompareConfigInput } from "./compare.ts";
export { DataConfig } from "./data.ts";
export { DemoConfig, type DemoConfigInput } from "./demo.ts";
export { EvaluateConfig } from "./evaluate.ts";
export { ExplainConfig } from "./explain.ts";
export { BASELINE_NAMES, DATASET_NAMES, type DatasetName, MODEL_NAMES, type ModelName } from "./features.ts";
export { lambdaWarmupOf } from "./guidance-fields.ts";

export type { ParseOptions } from "./parse.ts";
export { ReportConfig } from "./report.ts";
export { objectiveName, overrideTrainConfig, parseTrainConfig, resolveTrainConfig, runDirectoryOf } from "./resolve.ts";
export { describeResumedRun, LIMITS, resumeTrainConfig, savedTrainConfig } from "./resume.ts";
export { type NamedTrainConfig, type ParsedTrainConfig, TrainConfig, type TrainConfigInput } from "./train.ts";
export { configWarnings } from "./train-checks.ts";
