// The program of a thread that ends its process some time after the process that started it has ended. It is a thread, because the main
// one may be busy in a long operator, and then runs no timer.
import { workerData } from "node:worker_threads";

/** Milliseconds between two looks at the parent. */
const LOOK_MS = 500;

const { parent, graceMs } = workerData as ParentWatch;

/** What the thread has to know. */
export interface ParentWatch {
  /** The parent's process id. A process whose parent has ended gets another parent. */
  parent: number;
  /** Time to write a checkpoint. */
  graceMs: number;
}

let endedAt: number | null = null;
setInterval(() => {
  if (process.ppid === parent) return;
  endedAt ??= performance.now();
  if (performance.now() - endedAt >= graceMs) process.kill(process.pid, "SIGKILL");
}, LOOK_MS);
