import type { FileHandle } from "node:fs/promises";
import { expectPath, objectOf, wrongArgument } from "../arguments.ts";
import { replaceFile } from "../atomic-file.ts";
import type { EventKind, RecordedEvent } from "../tensor/internal.ts";
import { nodeRuns } from "./gradients.ts";
import type { Profile } from "./step-profiler.ts";

/** One event in Chrome's trace event format. Times are in microseconds. */
interface TraceEvent {
  ph: string;
  name: string;
  pid: number;
  tid: number;
  [key: string]: unknown;
}

/** Rows of the timeline, from top to bottom. */
const ROWS = ["phases", "modules", "operators"] as const;
const ROW_OF: Record<EventKind, (typeof ROWS)[number]> = {
  step: "phases",
  phase: "phases",
  module: "modules",
  operator: "operators",
  backward: "operators",
};
/** Number of lines that are written to the file at once. */
const BLOCK = 10_000;

/**
 * Writes a profile for chrome://tracing or ui.perfetto.dev. The timeline has one row each for phases, modules (with the
 * gradients of their operations) and operators with their shapes, and arrows from an operator to its gradient.
 *
 * @throws E_IO if the file cannot be written
 */
export async function writeTrace(path: string, profile: Pick<Profile, "events">): Promise<void> {
  expectPath("writeTrace: path", path);
  const { events } = objectOf("writeTrace: profile", profile);
  if (!Array.isArray(events) || !events.every((event) => typeof event?.start === "number"))
    throw wrongArgument("writeTrace: profile", "what profile returns", profile);
  await replaceFile(path, (file) => writeLines(file, traceEvents(events)));
}

async function writeLines(file: FileHandle, events: Iterable<TraceEvent>): Promise<void> {
  let lines: string[] = [];
  let head = '{"displayTimeUnit":"ms","traceEvents":[\n';
  const flush = async (): Promise<void> => {
    if (lines.length > 0) await file.write(head + lines.join(",\n"));
    [lines, head] = [[], ",\n"];
  };
  for (const event of events) {
    if (lines.push(JSON.stringify(event)) === BLOCK) await flush();
  }
  await flush();
  await file.write("\n]}\n");
}

function* traceEvents(events: readonly RecordedEvent[]): Generator<TraceEvent> {
  yield { ph: "M", name: "process_name", pid: PID, tid: 0, args: { name: "batch-cam" } };
  for (const name of ROWS) {
    const tid = rowNumber(name);
    yield { ph: "M", name: "thread_name", pid: PID, tid, args: { name } };
    yield { ph: "M", name: "thread_sort_index", pid: PID, tid, args: { sort_index: tid } };
  }
  for (const event of events) yield complete(event, event.name, ROW_OF[event.kind]);
  for (const { event, owner } of nodeRuns(events)) {
    if (owner === undefined) continue;
    yield complete(events[event] as RecordedEvent, `${(events[owner] as RecordedEvent).name} backward`, "modules");
  }
  yield* arrows(events);
}

const PID = 1;
const rowNumber = (row: (typeof ROWS)[number]) => 1 + ROWS.indexOf(row);
const microseconds = (nanoseconds: number) => nanoseconds / 1000;

function complete(event: RecordedEvent, name: string, row: (typeof ROWS)[number]): TraceEvent {
  const { kind, shapes, sequence, start, end } = event;
  const args = row === "operators" ? { shapes, ...(sequence < 0 ? {} : { sequence }) } : {};
  return {
    ...{ ph: "X", name, cat: kind, pid: PID, tid: rowNumber(row) },
    ...{ ts: microseconds(start), dur: microseconds(end - start), args },
  };
}

/** Arrows from each operator that created an autograd node to the runs of the node. */
function* arrows(events: readonly RecordedEvent[]): Generator<TraceEvent> {
  const makers = new Map<number, RecordedEvent>();
  const place = { name: "gradient", cat: "gradient", pid: PID, tid: rowNumber("operators") };
  for (const [id, event] of events.entries()) {
    // Nested operators report the same sequence number; the last one is the one that created the node.
    if (event.kind === "operator" && event.sequence >= 0) makers.set(event.sequence, event);
    const maker = event.kind === "backward" ? makers.get(event.sequence) : undefined;
    if (maker === undefined) continue;
    yield { ph: "s", ...place, id, ts: microseconds(maker.start) };
    yield { ph: "f", bp: "e", ...place, id, ts: microseconds(event.start) };
  }
}
