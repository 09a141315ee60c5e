import type { Cell } from "./records.ts";

// The messages between a grid's process and the processes of its cells. The result of a cell is given by the exit code and the store,
// because a last message may be lost.

/** The grid's first message: the job. */
export interface CellJob {
  cell: Cell;
  /** The store's folder. */
  folder: string;
  threads: number;
  explanations: number;
  keepRuns: boolean;
  /** Milliseconds since 1970. A failure that was recorded later than this is not retried. */
  since: number;
}

/** The grid's second message, if there is one: stop after a checkpoint. */
export const STOP = "stop";

/** The progress of a cell's training. */
export interface CellProgress {
  step: number;
  steps: number;
  trainImages: number;
}

export const CELL_EXIT = {
  /** The store contains the cell's record, done or failed. */
  recorded: 0,
  /** Another process is training the cell. */
  taken: 75,
  /** The process was stopped; a later process continues. */
  stopped: 130,
} as const;
