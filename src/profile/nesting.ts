import type { EventKind, RecordedEvent } from "../tensor/internal.ts";

/** For each event, the index of the innermost enclosing event of one of the given kinds; -1 if there is none. */
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
 * Duration of each event in nanoseconds, minus the nested events of the given kinds: a module without its submodules,
 * an operator without the operators that it calls. It is zero for an event of another kind.
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

/** The value of a key, created if it is missing. */
export function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
