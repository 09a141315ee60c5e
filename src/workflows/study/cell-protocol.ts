import type { Cell } from "./records.ts";

// What a grid's process and those of its cells say to each other. What came of a cell is told by the exit code and the store, for
// a last message may be lost.

/** The grid's first message: what is to be run. */
export interface CellJob {
  cell: Cell;
  /** The store. */
  folder: string;
  threads: number;
  explanations: number;
  keepRuns: boolean;
  /** Milliseconds since 1970: a failure recorded later than this is not tried again. */
  since: number;
}

/** The grid's second message, where there is one: end with a checkpoint. */
export const STOP = "stop";

/** How far a cell's training is. */
export interface CellProgress {
  step: number;
  steps: number;
  trainImages: number;
}

export const CELL_EXIT = {
  /** The store has the cell's record, done or failed. */
  recorded: 0,
  /** Another process is at work on the cell. */
  taken: 75,
  /** Stopped; a later process goes on. */
  stopped: 130,
} as const;
