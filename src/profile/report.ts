import type { RecordedEvent, Recording } from "../tensor/internal.ts";
import { type ModuleRecord, moduleRecords } from "./modules.ts";
import { duration } from "./nesting.ts";
import { type OperatorRecord, operatorRecords } from "./operators.ts";
import { type PhaseRecord, phaseRecords } from "./phases.ts";
import { scaleOf } from "./scale.ts";

/** Where the time of a step went: means over the recorded steps, in milliseconds, and shares of a step, 0 to 1. */
export interface ProfileReport {
  /** Recorded steps. */
  steps: number;
  /** Steps before them, for warm-up. */
  skipped: number;
  millisecondsPerStep: number;
  /** In the order in which a step comes to them last; `other` is what lies in no phase. */
  phases: PhaseRecord[];
  /** The longest self time first. */
  operators: OperatorRecord[];
  /** The longest self time first. */
  modules: ModuleRecord[];
  /** Of a step, in no operator: JavaScript, the calls into C++, the collector. */
  outsideOperators: number;
  /** Events that `maxEvents` left out: where there are any, operators and modules have taken longer than this says. */
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
