import type { Module } from "../nn/index.ts";
import { observeRuns } from "../nn/internal.ts";
import { type RecordedEvent, recordStep, span, startRecording, stopRecording } from "../tensor/internal.ts";
import { buildReport, type ProfileReport } from "./report.ts";

/** What was measured: figures, and the single events that they come from. */
export interface Profile {
  report: ProfileReport;
  /** In the order of their start. */
  events: RecordedEvent[];
}

export interface Window {
  /** Steps that are not recorded: the first ones find caches cold and make what later ones keep. */
  skip: number;
  /** Steps that are recorded. */
  steps: number;
  /** Operators that are recorded at most, and as many spans; some 300 bytes each. */
  maxEvents: number;
}

/** Records a window of the steps that are run through it. */
export class StepProfiler {
  readonly #window: Window;
  readonly #paths: ReadonlyMap<object, string>;
  readonly #types: ReadonlyMap<string, string>;
  #seen = 0;
  #state: "before" | "recording" | "over" = "before";

  /** @param model whose modules go by their paths; others go by their class */
  constructor(window: Window, model: Module | null) {
    this.#window = window;
    const modules = model === null ? [] : [...model.namedModules()];
    this.#paths = new Map(modules.map(([path, module]) => [module, path === "" ? "(model)" : path]));
    this.#types = new Map(Array.from(this.#paths, ([module, path]) => [path, module.constructor.name]));
  }

  /** Whether the window is over and its profile waits in `finish`. */
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
      this.finish(); // half a step says nothing
      throw error;
    }
  }

  readonly #observe = <T>(module: object, forward: () => T): T =>
    span("module", this.#paths.get(module) ?? `(${module.constructor.name})`, forward);

  /** Ends the recording, also before its window is over; null where nothing was recorded. Again: null. */
  finish(): Profile | null {
    const recorded = this.#state === "recording" ? stopRecording() : null;
    this.#state = "over";
    if (recorded === null) return null;
    const report = buildReport(recorded, { skipped: this.#window.skip, types: this.#types });
    return { report, events: recorded.events };
  }
}
