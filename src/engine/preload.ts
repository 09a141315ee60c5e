import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { addonPath } from "./find.ts";

/**
 * Sets how long libtorch's OpenMP threads spin at a barrier, before the library is loaded, since OpenMP reads the variable then. By
 * default they spin for about a millisecond, which slows all of them down when another process needs a core. A shorter spin costs
 * almost nothing on an idle machine.
 */
export function setSpinCount(): void {
  process.env.GOMP_SPINCOUNT ??= "10000";
}

/** The program of the worker: it loads the addon, and ends. libtorch stays in the process. */
const PROGRAM = `process.dlopen({ exports: {} }, require("node:worker_threads").workerData)`;

/**
 * Begins to load the addon in a worker thread, so that libtorch registers its operators, which takes a quarter of a second, while
 * this thread imports the modules of a command. A failure is left to the import of the engine, which explains it.
 */
export function preloadAddon(): void {
  if (availableParallelism() === 1) return;
  try {
    const path = addonPath();
    setSpinCount();
    const worker = new Worker(PROGRAM, { eval: true, workerData: path });
    worker.on("error", () => {});
    worker.unref();
  } catch {}
}
