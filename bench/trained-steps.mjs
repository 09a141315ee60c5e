// Measures steps of the trainer itself, with the command line's defaults: loading of batches, clipping and logging are included.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { train } from "batch-cam/train";

/** @import { StartEvent, TrainEvent } from "batch-cam/train" */
/** @import { TrainRequest } from "./types.d.ts" */

/** Steps before the measured ones, in which kernels and memory are prepared. */
const WARM_UP = 3;

/**
 * Trains on MNIST for `steps` steps after a few others, and ends the run there. Returns the mean seconds of a step, which counts every
 * kind of step if they differ, and what the trainer chose.
 *
 * @param {TrainRequest["train"]} request
 * @param {number} threads
 */
export async function trainedSteps({ config, steps }, threads) {
  const folder = mkdtempSync(join(tmpdir(), "batch-cam-bench-run-"));
  const enough = new AbortController();
  /** @type {StartEvent | undefined} */
  let start;
  let [began, ended, losses] = [0, 0, 0];
  /** @param {TrainEvent} event */
  const onEvent = (event) => {
    if (event.type === "start") start = event;
    if (event.type !== "step") return;
    if (event.step === 1) losses = event.metrics.loss;
    if (event.step === WARM_UP) began = performance.now();
    if (event.step !== WARM_UP + steps) return;
    ended = performance.now();
    enough.abort();
  };
  try {
    // Validation is not measured, so it gets few images. The warm-up of the weights is left out, so that guidance counts at once.
    const quick = { valImages: 10, limitTest: 10, figures: false, logEvery: 1, lambdaWarmup: 0 };
    await train({ ...config, ...quick, threads, output: folder }, { onEvent, signal: enough.signal });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  if (start === undefined || ended === 0) throw new Error("the run ended before its steps could be measured");
  const { modelOptions, camLayer, mapSize, precision, config: used } = start;
  return {
    seconds: [[(ended - began) / 1000 / steps]],
    firstLoss: [losses],
    buildSeconds: [0],
    peakRssMiB: process.resourceUsage().maxRSS / 1024,
    chosen: { modelOptions, camLayer, mapSize, precision, batch: used.batchSize },
  };
}
