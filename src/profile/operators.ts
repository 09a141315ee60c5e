import type { RecordedEvent } from "../tensor/internal.ts";
import { isEngine } from "./gradients.ts";
import { duration, entryOf, selfTimes } from "./nesting.ts";
import type { Scale } from "./scale.ts";

/**
 * The times of one operator of libtorch, or of one kind of node of its backward pass. `autograd::engine` is the work of
 * the engine outside the nodes.
 */
export interface OperatorRecord {
  name: string;
  /** Time without the operators that it calls. */
  selfMilliseconds: number;
  totalMilliseconds: number;
  /** Share of `selfMilliseconds` in the time of a step. */
  share: number;
  callsPerStep: number;
  /** The same by the shapes of its tensors, longest self time first. */
  shapes: ShapeRecord[];
}

export interface ShapeRecord {
  shapes: string;
  selfMilliseconds: number;
  callsPerStep: number;
}

interface Sums {
  self: number;
  total: number;
  calls: number;
  shapes: Map<string, { self: number; calls: number }>;
}

export function operatorRecords(events: readonly RecordedEvent[], scale: Scale): OperatorRecord[] {
  const self = selfTimes(events, "operator", "backward");
  const sums = new Map<string, Sums>();
  for (const [index, event] of events.entries()) {
    if (event.kind !== "operator" && event.kind !== "backward") continue;
    const name = nameOf(event);
    const own = self[index] as number;
    const sum = entryOf(sums, name, (): Sums => ({ self: 0, total: 0, calls: 0, shapes: new Map() }));
    const shape = entryOf(sum.shapes, event.shapes, () => ({ self: 0, calls: 0 }));
    if (!isWithin(events, event.parent, name)) sum.total += duration(event);
    sum.self += own;
    sum.calls += 1;
    shape.self += own;
    shape.calls += 1;
  }
  return Array.from(sums, ([name, sum]) => operatorRecord(name, sum, scale)).sort(
    (a, b) => b.selfMilliseconds - a.selfMilliseconds,
  );
}

const nameOf = (event: RecordedEvent) => (isEngine(event) ? "autograd::engine" : event.name);

/** Whether the event is nested in one of the same name, whose total time includes it already. */
function isWithin(events: readonly RecordedEvent[], parent: number, name: string): boolean {
  for (let outer = events[parent]; outer !== undefined; outer = events[outer.parent])
    if (nameOf(outer) === name && (outer.kind === "operator" || outer.kind === "backward")) return true;
  return false;
}

function operatorRecord(name: string, { self, total, calls, shapes }: Sums, scale: Scale): OperatorRecord {
  return {
    name,
    selfMilliseconds: scale.milliseconds(self),
    totalMilliseconds: scale.milliseconds(total),
    share: scale.share(self),
    callsPerStep: scale.perStep(calls),
    shapes: Array.from(shapes, ([text, sum]) => ({
      shapes: text,
      selfMilliseconds: scale.milliseconds(sum.self),
      callsPerStep: scale.perStep(sum.calls),
    })).sort((a, b) => b.selfMilliseconds - a.selfMilliseconds),
  };
}
