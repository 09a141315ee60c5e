import { setMaxListeners } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { runInChild } from "./cell-child.ts";
import type { CellProgress } from "./cell-protocol.ts";
import type { Cell, CellRecord } from "./records.ts";
import type { Store } from "./store.ts";

/** Events that a grid emits. */
export type GridEvent =
  /** Emitted once, with the records that already existed. */
  | { type: "begin"; cells: readonly Cell[]; records: readonly CellRecord[] }
  | { type: "start"; cell: Cell }
  | { type: "progress"; cell: Cell; progress: CellProgress }
  /** `seconds` is the time of the cell's process, or null if another grid's process ran it. */
  | { type: "end"; cell: Cell; record: CellRecord; seconds: number | null }
  /** Somebody stopped the cell's process by a signal. The next call runs the cell again. */
  | { type: "stopped"; cell: Cell }
  /** Only cells that other processes are training are left. */
  | { type: "waiting"; cells: readonly Cell[]; holder: string };

export interface RunGridOptions {
  store: Store;
  /** Number of cells that are trained at the same time. */
  jobs: number;
  /** Threads of each cell. */
  threads: number;
  explanations: number;
  keepFailed: boolean;
  keepRuns: boolean;
  signal: AbortSignal;
  onEvent: (event: GridEvent) => void;
  /** The program of a cell's process; tests replace it. */
  program?: string | undefined;
}

/** Time between two checks of the cells that other processes are training. */
const LOOK_MS = 500;

/**
 * Runs the cells without a record in the store, and those that failed before, each in a separate process. Resolves to the records of all
 * cells, in order; a cell that was stopped has none.
 * @throws E_IO if the store cannot be read or written, or if a process cannot be started; running cells are stopped first
 */
export async function runGrid(cells: readonly Cell[], options: RunGridOptions): Promise<CellRecord[]> {
  const run = new GridRun(cells, options);
  await run.begin();
  await run.toTheEnd();
  return run.records();
}

class GridRun {
  readonly #cells: readonly Cell[];
  readonly #options: RunGridOptions;
  readonly #records = new Map<string, CellRecord>();
  readonly #since = Date.now();
  /** Aborts with the grid's own signal, and if the store fails. */
  readonly #stop: AbortController;
  #queue: Cell[] = [];
  /** Cells that other processes are training. */
  #elsewhere: Cell[] = [];

  constructor(cells: readonly Cell[], options: RunGridOptions) {
    this.#cells = cells;
    this.#options = options;
    this.#stop = new AbortController();
    setMaxListeners(0, this.#stop.signal); // each job adds a listener
    if (options.signal.aborted) this.#stop.abort();
    options.signal.addEventListener("abort", () => this.#stop.abort(), { once: true });
  }

  async begin(): Promise<void> {
    const { store, keepFailed, onEvent } = this.#options;
    for (const cell of this.#cells) {
      const record = await store.read(cell);
      if (record?.status === "done" || (record !== null && keepFailed)) this.#records.set(cell.id, record);
      else this.#queue.push(cell);
    }
    onEvent({ type: "begin", cells: this.#cells, records: this.records() });
  }

  async toTheEnd(): Promise<void> {
    while (this.#queue.length > 0 && !this.#stop.signal.aborted) {
      const workers = Array.from({ length: this.#options.jobs }, () => this.#work());
      const failed = (await Promise.allSettled(workers)).find((worker) => worker.status === "rejected");
      if (failed !== undefined) throw failed.reason;
      await this.#waitForOthers();
    }
  }

  records(): CellRecord[] {
    return this.#cells.flatMap(({ id }) => this.#records.get(id) ?? []);
  }

  /** Runs cells from the queue until it is empty. */
  async #work(): Promise<void> {
    try {
      for (let cell = this.#next(); cell !== undefined; cell = this.#next()) await this.#runCell(cell);
    } catch (error) {
      this.#stop.abort(); // without the store, the results of the other jobs would be lost
      throw error;
    }
  }

  #next(): Cell | undefined {
    return this.#stop.signal.aborted ? undefined : this.#queue.shift();
  }

  async #runCell(cell: Cell): Promise<void> {
    const { store, threads, explanations, keepRuns, onEvent, program } = this.#options;
    if (store.holder(cell.id) !== null) {
      this.#elsewhere.push(cell);
      return;
    }
    if (await this.#isSettled(cell)) return this.#take(cell, null);
    onEvent({ type: "start", cell });
    const began = performance.now();
    const job = { cell, folder: store.folder, threads, explanations, keepRuns, since: this.#since };
    const onProgress = (progress: CellProgress) => onEvent({ type: "progress", cell, progress });
    const ending = await runInChild(job, { signal: this.#stop.signal, onProgress, program });
    if (ending.how === "taken") this.#elsewhere.push(cell);
    else if (ending.how === "stopped") this.#noteStop(cell);
    else {
      if (ending.how === "crashed") await this.#recordCrash(cell, ending.why);
      await this.#take(cell, (performance.now() - began) / 1000);
    }
  }

  #noteStop(cell: Cell): void {
    if (!this.#stop.signal.aborted) this.#options.onEvent({ type: "stopped", cell });
  }

  /** Reads the record that is now in the store, and emits its event. */
  async #take(cell: Cell, seconds: number | null): Promise<void> {
    const record = await this.#options.store.read(cell);
    if (record === null) return this.#noteStop(cell); // somebody deleted the record
    this.#records.set(cell.id, record);
    this.#options.onEvent({ type: "end", cell, record, seconds });
  }

  async #recordCrash(cell: Cell, message: string): Promise<void> {
    const { store } = this.#options;
    const release = store.claim(cell.id);
    if (release === null) return; // another process is already training it
    try {
      if (await this.#isSettled(cell)) return;
      await store.write({ ...cell, schemaVersion: 1, status: "failed", error: { code: "E_CRASH", message } });
    } finally {
      release();
    }
  }

  /** Waits for the cells of other processes. It takes over their records, or the cells themselves if their process has ended. */
  async #waitForOthers(): Promise<void> {
    const { store, onEvent } = this.#options;
    const { signal } = this.#stop;
    for (let told = false; this.#elsewhere.length > 0 && this.#queue.length === 0 && !signal.aborted; ) {
      for (const cell of this.#elsewhere.splice(0)) {
        const holder = store.holder(cell.id);
        if (holder === null)
          this.#queue.push(cell); // finished, or abandoned by a process that has ended
        else {
          this.#elsewhere.push(cell);
          if (!told) onEvent({ type: "waiting", cells: [...this.#elsewhere], holder });
          told = true;
        }
      }
      if (this.#queue.length === 0 && this.#elsewhere.length > 0)
        await wait(LOOK_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Whether another process has recorded a cell since this grid began. */
  async #isSettled(cell: Cell): Promise<boolean> {
    const { store } = this.#options;
    const record = await store.read(cell);
    return record?.status === "done" || (record !== null && (await store.isSince(cell.id, this.#since)));
  }
}
