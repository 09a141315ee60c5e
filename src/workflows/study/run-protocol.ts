import type { GridRun } from "./records.ts";

// The messages between a grid's process and the processes of its runs. The result of a run is given by the exit code and the store,
// because a last message may be lost.

/** The grid's first message: the job. */
export interface RunJob {
  run: GridRun;
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

/** The progress of a run's training. */
export interface RunProgress {
  step: number;
  steps: number;
  trainImages: number;
}

export const RUN_EXIT = {
  /** The store contains the run's record, done or failed. */
  recorded: 0,
  /** Another process is training the run. */
  taken: 75,
  /** The process was stopped; a later process continues. */
  stopped: 130,
} as const;
