import { setMaxListeners } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import type { GridRun, GridRunRecord } from "./records.ts";
import { runInChild } from "./run-child.ts";
import type { RunProgress } from "./run-protocol.ts";
import type { Store } from "./store.ts";

/** Events that a grid emits. */
export type GridEvent =
  /** Emitted once, with the records that already existed. */
  | { type: "begin"; runs: readonly GridRun[]; records: readonly GridRunRecord[] }
  | { type: "start"; run: GridRun }
  | { type: "progress"; run: GridRun; progress: RunProgress }
  /** `seconds` is the time of the run's process, or null if another grid's process trained it. */
  | { type: "end"; run: GridRun; record: GridRunRecord; seconds: number | null }
  /** Somebody stopped the run's process by a signal. The next call trains the run again. */
  | { type: "stopped"; run: GridRun }
  /** Only runs that other processes are training are left. */
  | { type: "waiting"; runs: readonly GridRun[]; holder: string };

export interface RunGridOptions {
  store: Store;
  /** Number of runs that are trained at the same time. */
  jobs: number;
  /** Threads of each run. */
  threads: number;
  explanations: number;
  keepFailed: boolean;
  keepRuns: boolean;
  signal: AbortSignal;
  onEvent: (event: GridEvent) => void;
  /** The program of a run's process; tests replace it. */
  program?: string | undefined;
}

/** Time between two checks of the runs that other processes are training. */
const LOOK_MS = 500;

/**
 * Trains the runs without a record in the store, and those that failed before, each in a separate process. Resolves to the records of all
 * runs, in order; a run that was stopped has none.
 * @throws E_IO if the store cannot be read or written, or if a process cannot be started; runs in progress are stopped first
 */
export async function runGrid(runs: readonly GridRun[], options: RunGridOptions): Promise<GridRunRecord[]> {
  const execution = new GridExecution(runs, options);
  await execution.begin();
  await execution.toTheEnd();
  return execution.records();
}

class GridExecution {
  readonly #runs: readonly GridRun[];
  readonly #options: RunGridOptions;
  readonly #records = new Map<string, GridRunRecord>();
  /**
   * The times of the records that the grid found when it began, by the runs' ids. They are compared with each other and not with this
   * process's clock, because the clock of files is some milliseconds behind it.
   */
  readonly #found = new Map<string, number>();
  /** Aborts with the grid's own signal, and if the store fails. */
  readonly #stop: AbortController;
  #queue: GridRun[] = [];
  /** Runs that other processes are training. */
  #elsewhere: GridRun[] = [];

  constructor(runs: readonly GridRun[], options: RunGridOptions) {
    this.#runs = runs;
    this.#options = options;
    this.#stop = new AbortController();
    setMaxListeners(0, this.#stop.signal); // each job adds a listener
    if (options.signal.aborted) this.#stop.abort();
    options.signal.addEventListener("abort", () => this.#stop.abort(), { once: true });
  }

  async begin(): Promise<void> {
    const { store, keepFailed, onEvent } = this.#options;
    for (const run of this.#runs) {
      const record = await store.read(run);
      this.#found.set(run.id, record === null ? 0 : await store.recordedAt(run.id));
      if (record?.status === "done" || (record !== null && keepFailed)) this.#records.set(run.id, record);
      else this.#queue.push(run);
    }
    onEvent({ type: "begin", runs: this.#runs, records: this.records() });
  }

  async toTheEnd(): Promise<void> {
    while (this.#queue.length > 0 && !this.#stop.signal.aborted) {
      const workers = Array.from({ length: this.#options.jobs }, () => this.#work());
      const failed = (await Promise.allSettled(workers)).find((worker) => worker.status === "rejected");
      if (failed !== undefined) throw failed.reason;
      await this.#waitForOthers();
    }
  }

  records(): GridRunRecord[] {
    return this.#runs.flatMap(({ id }) => this.#records.get(id) ?? []);
  }

  /** Trains runs from the queue until it is empty. */
  async #work(): Promise<void> {
    try {
      for (let run = this.#next(); run !== undefined; run = this.#next()) await this.#trainGridRun(run);
    } catch (error) {
      this.#stop.abort(); // without the store, the results of the other jobs would be lost
      throw error;
    }
  }

  #next(): GridRun | undefined {
    return this.#stop.signal.aborted ? undefined : this.#queue.shift();
  }

  async #trainGridRun(run: GridRun): Promise<void> {
    const { store, threads, explanations, keepRuns, onEvent, program } = this.#options;
    if (store.holder(run.id) !== null) {
      this.#elsewhere.push(run);
      return;
    }
    if (await this.#isSettled(run)) return this.#take(run, null);
    onEvent({ type: "start", run });
    const began = performance.now();
    const job = { run, folder: store.folder, threads, explanations, keepRuns, since: this.#foundAt(run) };
    const onProgress = (progress: RunProgress) => onEvent({ type: "progress", run, progress });
    const ending = await runInChild(job, { signal: this.#stop.signal, onProgress, program });
    if (ending.how === "taken") this.#elsewhere.push(run);
    else if (ending.how === "stopped") this.#noteStop(run);
    else {
      if (ending.how === "crashed") await this.#recordCrash(run, ending.why);
      await this.#take(run, (performance.now() - began) / 1000);
    }
  }

  #noteStop(run: GridRun): void {
    if (!this.#stop.signal.aborted) this.#options.onEvent({ type: "stopped", run });
  }

  /** Reads the record that is now in the store, and emits its event. */
  async #take(run: GridRun, seconds: number | null): Promise<void> {
    const record = await this.#options.store.read(run);
    if (record === null) return this.#noteStop(run); // somebody deleted the record
    this.#records.set(run.id, record);
    this.#options.onEvent({ type: "end", run, record, seconds });
  }

  async #recordCrash(run: GridRun, message: string): Promise<void> {
    const { store } = this.#options;
    const release = store.claim(run.id);
    if (release === null) return; // another process is already training it
    try {
      if (await this.#isSettled(run)) return;
      await store.write({ ...run, schemaVersion: 1, status: "failed", error: { code: "E_CRASH", message } });
    } finally {
      release();
    }
  }

  /** Waits for the runs of other processes. It takes over their records, or the runs themselves if their process has ended. */
  async #waitForOthers(): Promise<void> {
    const { store, onEvent } = this.#options;
    const { signal } = this.#stop;
    for (let told = false; this.#elsewhere.length > 0 && this.#queue.length === 0 && !signal.aborted; ) {
      for (const run of this.#elsewhere.splice(0)) {
        const holder = store.holder(run.id);
        if (holder === null)
          this.#queue.push(run); // finished, or abandoned by a process that has ended
        else {
          this.#elsewhere.push(run);
          if (!told) onEvent({ type: "waiting", runs: [...this.#elsewhere], holder });
          told = true;
        }
      }
      if (this.#queue.length === 0 && this.#elsewhere.length > 0)
        await wait(LOOK_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Whether another process has recorded a run since this grid began. */
  async #isSettled(run: GridRun): Promise<boolean> {
    const { store } = this.#options;
    const record = await store.read(run);
    return record?.status === "done" || (record !== null && (await store.isAfter(run.id, this.#foundAt(run))));
  }

  #foundAt({ id }: GridRun): number {
    return this.#found.get(id) ?? 0;
  }
}
