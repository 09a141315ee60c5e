import type { Module } from "../nn/index.ts";
import { observeRuns } from "../nn/internal.ts";
import { type RecordedEvent, recordStep, span, startRecording, stopRecording } from "../tensor/internal.ts";
import { buildReport, type ProfileReport } from "./report.ts";

/** The result of a profile: the report, and the events that it summarises. */
export interface Profile {
  report: ProfileReport;
  /** The events in the order of their start. */
  events: RecordedEvent[];
}

export interface Window {
  /** Number of first steps that are not recorded, because they run with cold caches and create objects that later steps reuse. */
  skip: number;
  /** Number of steps that are recorded. */
  steps: number;
  /** Limit on the number of recorded operators, and separately of spans. Each takes about 300 bytes. */
  maxEvents: number;
}

/** Profiles a window of the steps that are run through it. */
export class StepProfiler {
  readonly #window: Window;
  readonly #paths: ReadonlyMap<object, string>;
  readonly #types: ReadonlyMap<string, string>;
  #seen = 0;
  #state: "before" | "recording" | "over" = "before";

  /** @param model its modules are named by their paths; other modules are named by their class */
  constructor(window: Window, model: Module | null) {
    this.#window = window;
    const modules = model === null ? [] : [...model.namedModules()];
    this.#paths = new Map(modules.map(([path, module]) => [module, path === "" ? "(model)" : path]));
    this.#types = new Map(Array.from(this.#paths, ([module, path]) => [path, module.constructor.name]));
  }

  /** Whether the window is over, so that `finish` returns its profile. */
  get complete(): boolean {
    return this.#state === "recording" && this.#seen === this.#window.skip + this.#window.steps;
  }

  get finished(): boolean {
    return this.#state === "over";
  }

  step<T>(fn: () => T): T {
    const { skip, steps, maxEvents } = this.#window;
    const number = ++this.#seen;
    if (this.#state === "over" || number <= skip || number > skip + steps) return fn();
    if (this.#state === "before") startRecording(maxEvents);
    this.#state = "recording";
    try {
      return observeRuns(this.#observe, () => recordStep(`step ${number}`, fn));
    } catch (error) {
      this.finish(); // the times of an incomplete step would be misleading
      throw error;
    }
  }

  readonly #observe = <T>(module: object, forward: () => T): T =>
    span("module", this.#paths.get(module) ?? `(${module.constructor.name})`, forward);

  /** Ends the recording, even if its window is not over. Returns null if nothing was recorded, and on a second call. */
  finish(): Profile | null {
    const recorded = this.#state === "recording" ? stopRecording() : null;
    this.#state = "over";
    if (recorded === null) return null;
    const report = buildReport(recorded, { skipped: this.#window.skip, types: this.#types });
    return { report, events: recorded.events };
  }
}
