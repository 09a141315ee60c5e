import { callSync, expectFunction, expectString } from "../arguments.ts";
import { native } from "../engine/internal.ts";
import { BatchCamError } from "../errors.ts";

/** The kinds of events, by their numbers in native/binding/profiler.cc. */
const KINDS = ["operator", "backward", "step", "phase", "module"] as const;
export type EventKind = (typeof KINDS)[number];
type SpanKind = Exclude<EventKind, "operator" | "backward">;

/** A timed event: an operator of libtorch, a node of its backward pass, or a span that contains such events. */
export interface RecordedEvent {
  kind: EventKind;
  name: string;
  /** Shapes of an operator's tensors: "[128, 3, 28, 28] [16, 3, 3, 3]". */
  shapes: string;
  /** Index of the event that contains this one; -1 for none. */
  parent: number;
  /** Nanoseconds since the recording began. */
  start: number;
  end: number;
  /** Number of the autograd node that an operator creates, or that a backward event runs; -1 for none. */
  sequence: number;
  /** The next free number of autograd nodes at the start and at the end of the event. */
  before: number;
  after: number;
}

/** Events in the order of their start. */
export interface Recording {
  events: RecordedEvent[];
  /** The number of events that were not recorded, because the buffer was full. */
  dropped: number;
}

const COLUMNS = 9;
let recording = false;

/** @throws E_ARGUMENT if a profile is already being recorded */
export function startRecording(maxEvents: number): void {
  if (native.startRecording(maxEvents) < 0) throw new BatchCamError("E_ARGUMENT", `profile: ${native.lastError()}`);
}

export function stopRecording(): Recording {
  const { rows, strings, dropped } = native.stopRecording() ?? { rows: new Float64Array(), strings: [], dropped: 0 };
  const names = strings.map(plainName);
  const events = Array.from({ length: rows.length / COLUMNS }, (_, row) =>
    eventOf(rows.subarray(row * COLUMNS, (row + 1) * COLUMNS), names),
  );
  return { events, dropped };
}

/**
 * The addon's own autograd nodes are named by their C++ type: "torch::autograd::CppNode<batch_cam::(anonymous namespace)::X>".
 */
const plainName = (name: string): string =>
  name.replace(/torch::autograd::CppNode<(?:\w+::)?(?:\(anonymous namespace\)::)?(\w+)>$/, "batch_cam::$1Backward");

function eventOf(row: Float64Array, strings: readonly string[]): RecordedEvent {
  const [kind, name, shapes, parent, start, end, sequence, before, after] = row as unknown as number[];
  return {
    kind: KINDS[kind as number] as EventKind,
    name: strings[name as number] as string,
    shapes: strings[shapes as number] as string,
    ...({ parent, start, end, sequence, before, after } as Pick<RecordedEvent, NumericColumn>),
  };
}

type NumericColumn = "parent" | "start" | "end" | "sequence" | "before" | "after";

/** Runs `fn` as a step of the profile. Events are recorded only within such steps. */
export function recordStep<T>(name: string, fn: () => T): T {
  recording = true;
  try {
    return span("step", name, fn);
  } finally {
    recording = false;
  }
}

/** Runs `fn`. If a step is being recorded, the run is an event of the profile. */
export function span<T>(kind: SpanKind, name: string, fn: () => T): T {
  if (!recording) return fn();
  native.beginSpan(KINDS.indexOf(kind), name);
  try {
    return fn();
  } finally {
    native.endSpan();
  }
}

/**
 * Runs `fn`, which must be synchronous, as a phase of a training step. A profile adds up the time of each phase;
 * without a profile this is `fn()`. The time of a nested phase is not counted for the outer one.
 */
export function phase<T>(name: string, fn: () => T): T {
  expectString("phase: name", name);
  expectFunction("phase: fn", fn);
  return span("phase", name, () => callSync("phase", fn));
}
