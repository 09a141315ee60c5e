import type { EventKind, RecordedEvent } from "../tensor/internal.ts";

/** For each event the index of the innermost event around it of one of some kinds, -1 for none. */
export function enclosing(events: readonly RecordedEvent[], ...kinds: readonly EventKind[]): Int32Array {
  const around = new Int32Array(events.length);
  for (const [index, { parent }] of events.entries()) {
    const outer = events[parent];
    if (outer === undefined) around[index] = -1;
    else around[index] = kinds.includes(outer.kind) ? parent : (around[parent] as number);
  }
  return around;
}

/**
 * Nanoseconds of each event without those of some kinds in it: without the modules in a module, the operators in an operator.
 * Zero for an event of another kind.
 */
export function selfTimes(events: readonly RecordedEvent[], ...kinds: readonly EventKind[]): Float64Array {
  const around = enclosing(events, ...kinds);
  const self = new Float64Array(events.length);
  for (const [index, event] of events.entries()) {
    if (!kinds.includes(event.kind)) continue;
    const outer = around[index] as number;
    self[index] = duration(event);
    if (outer >= 0) self[outer] = (self[outer] as number) - duration(event);
  }
  return self;
}

export const duration = ({ start, end }: RecordedEvent): number => end - start;

/** The value of a key, made where there is none. */
export function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
