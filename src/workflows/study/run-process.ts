// The program of a run's process: it receives a job, and writes the run's record into the store.
import { rm } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { BatchCamError } from "../../errors.ts";
import type { TrainEvent } from "../../train/index.ts";
import type { ParentWatch } from "./parent-watch.ts";
import type { FailedRun, GridRunRecord } from "./records.ts";
import { RUN_EXIT, type RunJob, type RunProgress, STOP } from "./run-protocol.ts";
import { Store } from "./store.ts";

/** Milliseconds that a process whose grid has ended may take for a checkpoint. */
const GRACE_MS = 10_000;
/** Shortest time between two progress messages. */
const PROGRESS_MS = 500;

const stop = new AbortController();

async function main(job: RunJob): Promise<number> {
  const store = new Store(job.folder);
  const { id } = job.run;
  const release = store.claim(id);
  if (release === null) return RUN_EXIT.taken;
  try {
    // Another process may have finished the run after the grid looked and before this process claimed it.
    const found = await store.read(job.run);
    if (found?.status === "done" || (found !== null && (await store.isAfter(id, job.since)))) return RUN_EXIT.recorded;
    await store.sweep(id);
    const record = await recordOf(job, store.runDirectory(id));
    if (record === null) return RUN_EXIT.stopped;
    await store.write(record);
    if (!job.keepRuns) await rm(store.runDirectory(id), { recursive: true, force: true });
    return RUN_EXIT.recorded;
  } finally {
    release();
  }
}

async function recordOf(job: RunJob, directory: string): Promise<GridRunRecord | null> {
  const { run, threads, explanations } = job;
  try {
    const { trainGridRun } = await import("./train-grid-run.ts");
    return await trainGridRun(run, {
      directory,
      threads,
      explanations,
      signal: stop.signal,
      onEvent: progressSender(),
    });
  } catch (error) {
    return failure(run, error);
  }
}

function failure(run: RunJob["run"], error: unknown): FailedRun {
  const code = error instanceof BatchCamError ? error.code : "E_UNEXPECTED";
  const message = error instanceof Error ? error.message : String(error);
  return { ...run, schemaVersion: 1, status: "failed", error: { code, message } };
}

/** Makes a function that sends the progress of training to the grid. */
function progressSender(): (event: TrainEvent) => void {
  let told = Number.NEGATIVE_INFINITY;
  let trainImages = 0;
  let steps = 0;
  return (event) => {
    if (event.type === "start") {
      trainImages = event.trainImages;
      steps = Math.min(event.config.maxSteps ?? Number.POSITIVE_INFINITY, event.epochs * event.stepsPerEpoch);
      tell({ step: event.resumedFromStep, steps, trainImages });
    } else if (event.type === "step" && (event.step === steps || performance.now() - told > PROGRESS_MS)) {
      told = performance.now();
      tell({ step: event.step, steps, trainImages });
    }
  };
}

function tell(progress: RunProgress): void {
  if (process.connected) process.send?.(progress, undefined, undefined, () => {}); // the grid may have ended
}

function onMessage(message: RunJob | typeof STOP): void {
  if (message === STOP) stop.abort();
  else main(message).then(end, endInError);
}

function endInError(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  end(1);
}

function end(code: number): void {
  process.exitCode = code;
  if (process.connected) process.disconnect();
}

/** Stops after a checkpoint, or at once if a signal has arrived before. Ctrl-C reaches all processes of a terminal. */
function onSignal(): void {
  if (signalled) process.exit(RUN_EXIT.stopped);
  signalled = true;
  stop.abort();
}

let signalled = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
const watch: ParentWatch = { parent: process.ppid, graceMs: GRACE_MS };
new Worker(new URL("./parent-watch.js", import.meta.url), { workerData: watch }).unref();
process.stderr.on("error", () => {}); // the process that reads the pipe may have ended
process.on("message", onMessage);
process.on("disconnect", () => stop.abort());
