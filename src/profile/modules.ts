import type { RecordedEvent } from "../tensor/internal.ts";
import { type NodeRun, nodeRuns } from "./gradients.ts";
import { duration, enclosing, entryOf, selfTimes } from "./nesting.ts";
import type { Scale } from "./scale.ts";

/** The times of one module of a network. "Self" times exclude its submodules. */
export interface ModuleRecord {
  /** Path in the state dict. "(no module)" collects the gradients of losses and maps, and the accumulation into `.grad`. */
  path: string;
  /** Name of the module's class. */
  type: string;
  forwardSelfMilliseconds: number;
  forwardMilliseconds: number;
  /** Time of the gradients of the module's operations, both in `backward` and for the maps. */
  backwardSelfMilliseconds: number;
  backwardMilliseconds: number;
  /** Share of both self times in the time of a step. */
  share: number;
  /** Calls of `forward` in each step. */
  callsPerStep: number;
}

const NO_MODULE = "(no module)";

interface Sums {
  forwardSelf: number;
  forward: number;
  backwardSelf: number;
  backward: number;
  calls: number;
}

export function moduleRecords(
  events: readonly RecordedEvent[],
  types: ReadonlyMap<string, string>,
  scale: Scale,
): ModuleRecord[] {
  const sums = new Map<string, Sums>();
  const sumOf = (path: string): Sums =>
    entryOf(sums, path, () => ({ forwardSelf: 0, forward: 0, backwardSelf: 0, backward: 0, calls: 0 }));
  const around = enclosing(events, "module");
  addForward(events, around, sumOf);
  for (const run of nodeRuns(events)) addBackward(run, { events, around, sumOf });
  return Array.from(sums, ([path, sum]) => ({
    path,
    type: types.get(path) ?? "",
    forwardSelfMilliseconds: scale.milliseconds(sum.forwardSelf),
    forwardMilliseconds: scale.milliseconds(sum.forward),
    backwardSelfMilliseconds: scale.milliseconds(sum.backwardSelf),
    backwardMilliseconds: scale.milliseconds(sum.backward),
    share: scale.share(sum.forwardSelf + sum.backwardSelf),
    callsPerStep: scale.perStep(sum.calls),
  })).sort((a, b) => b.share - a.share);
}

function addForward(events: readonly RecordedEvent[], around: Int32Array, sumOf: (path: string) => Sums): void {
  const self = selfTimes(events, "module");
  for (const [index, event] of events.entries()) {
    if (event.kind !== "module") continue;
    const sum = sumOf(event.name);
    const nested = pathsFrom(around[index] as number, events, around).has(event.name);
    sum.forwardSelf += self[index] as number;
    if (!nested) sum.forward += duration(event);
    sum.calls += 1;
  }
}

function addBackward(
  { event, owner }: NodeRun,
  { events, around, sumOf }: { events: readonly RecordedEvent[]; around: Int32Array; sumOf: (path: string) => Sums },
): void {
  const time = duration(events[event] as RecordedEvent);
  sumOf(owner === undefined ? NO_MODULE : (events[owner] as RecordedEvent).name).backwardSelf += time;
  const paths = owner === undefined ? [NO_MODULE] : pathsFrom(owner, events, around);
  for (const path of paths) sumOf(path).backward += time;
}

/** The paths of a module event and of the events around it, without duplicates. */
function pathsFrom(index: number, events: readonly RecordedEvent[], around: Int32Array): Set<string> {
  const paths = new Set<string>();
  for (let outer = index; outer >= 0; outer = around[outer] as number) paths.add((events[outer] as RecordedEvent).name);
  return paths;
}
