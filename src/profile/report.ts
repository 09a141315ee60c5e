import type { RecordedEvent, Recording } from "../tensor/internal.ts";
import { type ModuleRecord, moduleRecords } from "./modules.ts";
import { duration } from "./nesting.ts";
import { type OperatorRecord, operatorRecords } from "./operators.ts";
import { type PhaseRecord, phaseRecords } from "./phases.ts";
import { scaleOf } from "./scale.ts";

/** Where the time of a step was spent: means over the recorded steps, in milliseconds, and shares of a step, 0 to 1. */
export interface ProfileReport {
  /** Number of recorded steps. */
  steps: number;
  /** Number of warm-up steps that ran first. */
  skipped: number;
  millisecondsPerStep: number;
  /** The phases in the order of their last occurrence in a step. `other` is the time outside all phases. */
  phases: PhaseRecord[];
  /** Sorted by self time, longest first. */
  operators: OperatorRecord[];
  /** Sorted by self time, longest first. */
  modules: ModuleRecord[];
  /** Milliseconds of a step outside all operators: JavaScript, calls into C++, and garbage collection. */
  outsideOperators: number;
  /** Number of events that exceeded `maxEvents`. If it is not 0, operators and modules took longer than reported. */
  droppedEvents: number;
}

/**
 * @param types the classes of modules by their paths
 */
export function buildReport(
  { events, dropped }: Recording,
  { skipped, types }: { skipped: number; types: ReadonlyMap<string, string> },
): ProfileReport {
  const steps = events.filter(({ kind }) => kind === "step");
  const total = steps.reduce((sum, step) => sum + duration(step), 0);
  const scale = scaleOf(steps.length, total);
  return {
    steps: steps.length,
    skipped,
    millisecondsPerStep: scale.milliseconds(total),
    phases: phaseRecords(events, total, scale),
    operators: operatorRecords(events, scale),
    modules: moduleRecords(events, types, scale),
    outsideOperators: scale.milliseconds(total - insideOperators(events)),
    droppedEvents: dropped,
  };
}

const isOperator = (event: RecordedEvent | undefined) => event?.kind === "operator" || event?.kind === "backward";

function insideOperators(events: readonly RecordedEvent[]): number {
  const outermost = events.filter((event) => isOperator(event) && !isOperator(events[event.parent]));
  return outermost.reduce((sum, event) => sum + duration(event), 0);
}
