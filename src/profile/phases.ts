import type { RecordedEvent } from "../tensor/internal.ts";
import { selfTimes } from "./nesting.ts";
import type { Scale } from "./scale.ts";

/** The time of one phase of a step, without nested phases. */
export interface PhaseRecord {
  name: string;
  milliseconds: number;
  share: number;
}

export function phaseRecords(events: readonly RecordedEvent[], total: number, scale: Scale): PhaseRecord[] {
  const self = selfTimes(events, "phase");
  const sums = new Map<string, number>();
  for (const [index, { kind, name }] of events.entries()) {
    if (kind !== "phase") continue;
    const sum = (sums.get(name) ?? 0) + (self[index] as number);
    // A phase is listed at its last occurrence, because the optimizer also runs at the start of a step, to clear the
    // gradients.
    sums.delete(name);
    sums.set(name, sum);
  }
  const rest = total - [...sums.values()].reduce((sum, time) => sum + time, 0);
  sums.set("other", (sums.get("other") ?? 0) + rest);
  return Array.from(sums, ([name, time]) => ({
    name,
    milliseconds: scale.milliseconds(time),
    share: scale.share(time),
  }));
}
