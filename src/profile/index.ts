export type { EventKind, RecordedEvent } from "../tensor/internal.ts";
export type { ModuleRecord } from "./modules.ts";
export type { OperatorRecord, ShapeRecord } from "./operators.ts";
export type { PhaseRecord } from "./phases.ts";
export { MAX_EVENTS, type ProfileOptions, profile } from "./profile.ts";
export type { ProfileReport } from "./report.ts";
export { type Profile, StepProfiler } from "./step-profiler.ts";
export { writeTrace } from "./trace.ts";
