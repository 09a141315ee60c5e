import type { GridRun, GridRunRecord } from "./records.ts";
import type { GridEvent } from "./run-grid.ts";
import type { RunProgress } from "./run-protocol.ts";

interface Measured {
  run: GridRun;
  steps: number;
  seconds: number;
}

interface Running {
  run: GridRun;
  began: number;
  /** The first progress message of the cell, with its time. The time before it was spent on loading. */
  first: { step: number; at: number } | null;
  progress: RunProgress | null;
}

/**
 * Estimates the time that a grid still needs: for each remaining run, its number of steps times the mean time of a step in the finished
 * runs of the same model and data set, or else of the same model, or else of all.
 */
export class TimeLeft {
  readonly #jobs: number;
  readonly #now: () => number;
  readonly #measured: Measured[] = [];
  /** The number of training images for each data set and limit. */
  readonly #images = new Map<string, number>();
  readonly #running = new Map<string, Running>();
  #left = new Map<string, GridRun>();

  /** @param now returns milliseconds since an arbitrary moment */
  constructor(jobs: number, now = () => performance.now()) {
    this.#jobs = jobs;
    this.#now = now;
  }

  onEvent(event: GridEvent): void {
    if (event.type === "begin") {
      this.#left = new Map(event.runs.map((run) => [run.id, run]));
      for (const record of event.records) this.#learn(record, null);
    } else if (event.type === "start") {
      this.#running.set(event.run.id, { run: event.run, began: this.#now(), first: null, progress: null });
    } else if (event.type === "progress") {
      this.#note(event.run, event.progress);
    } else if (event.type === "end") this.#learn(event.record, event.seconds);
    else if (event.type === "stopped") this.#forget(event.run.id);
  }

  /** Seconds, or null while no run has made progress. */
  seconds(): number | null {
    let sum = 0;
    let longest = 0;
    for (const run of this.#left.values()) {
      const own = this.#secondsOf(run);
      if (own === null) return null;
      sum += own;
      longest = Math.max(longest, own);
    }
    return Math.max(sum / this.#jobs, longest);
  }

  #note(run: GridRun, progress: RunProgress): void {
    this.#images.set(sizeKey(run), progress.trainImages);
    const running = this.#running.get(run.id);
    if (running === undefined) return;
    running.first ??= { step: progress.step, at: this.#now() };
    running.progress = progress;
  }

  #forget(id: string): void {
    this.#left.delete(id);
    this.#running.delete(id);
  }

  /** Learns from a finished run: the time of its process, or only of its training if nothing else is known. */
  #learn(record: GridRunRecord, seconds: number | null): void {
    this.#forget(record.id);
    if (record.status !== "done") return;
    const { steps, history, config } = record;
    this.#measured.push({ run: record, steps, seconds: Math.max(seconds ?? 0, record.seconds) });
    const epochs = history.at(-1)?.epoch ?? 1;
    const images = Math.round((steps / epochs) * config.batchSize * config.gradAccumSteps);
    if (!this.#images.has(sizeKey(record))) this.#images.set(sizeKey(record), images);
  }

  #secondsOf(run: GridRun): number | null {
    const rate = this.#secondsPerStep(run);
    if (rate === null) return null;
    const running = this.#running.get(run.id);
    const elapsed = running === undefined ? 0 : (this.#now() - running.began) / 1000;
    return Math.max(0, rate * (running?.progress?.steps ?? this.#stepsOf(run)) - elapsed);
  }

  #secondsPerStep({ model, dataset }: GridRun): number | null {
    const likes: ((other: GridRun) => boolean)[] = [
      (other) => other.model === model && other.dataset === dataset,
      (other) => other.model === model,
      () => true,
    ];
    const known = this.#measured.length > 0 ? this.#measured : this.#underWay();
    for (const like of likes) {
      const found = known.filter(({ run }) => like(run));
      if (found.length > 0) return sum(found.map(({ seconds }) => seconds)) / sum(found.map(({ steps }) => steps));
    }
    return null;
  }

  /** Measurements of runs in progress, which are used until the first run is finished. */
  #underWay(): Measured[] {
    return [...this.#running.values()].flatMap(({ run, first, progress }) => {
      if (first === null || progress === null || progress.step === first.step) return [];
      return [{ run, steps: progress.step - first.step, seconds: (this.#now() - first.at) / 1000 }];
    });
  }

  #stepsOf(run: GridRun): number {
    const { epochs, batchSize, gradAccumSteps, maxSteps = Number.POSITIVE_INFINITY } = run.config;
    const images = this.#images.get(sizeKey(run)) ?? run.config.limitTrain;
    if (images === undefined) return this.#usualSteps();
    return Math.min(maxSteps, epochs * Math.ceil(images / (batchSize * gradAccumSteps)));
  }

  #usualSteps(): number {
    const known = [
      ...this.#measured.map(({ steps }) => steps),
      ...[...this.#running.values()].flatMap(({ progress }) => progress?.steps ?? []),
    ];
    return sum(known) / Math.max(1, known.length);
  }
}

const sizeKey = ({ dataset, config }: GridRun): string => `${dataset}\n${config.limitTrain ?? ""}`;

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
