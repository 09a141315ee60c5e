#!/usr/bin/env node
// Prints which files of dist/ run during one guided training step and one `explain` call, so that a change of structure can be
// measured. Run `npm run build` first.
import { mkdtempSync, rmSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { explain } from "batch-cam/cam";
import { createModel } from "batch-cam/models";
import { rand } from "batch-cam/tensor";
import { train } from "batch-cam/train";

const DIST = new URL("../dist/", import.meta.url).href;
const inspector = new Session();

/** @import { Profiler } from "node:inspector" */
/** @import { TrainConfigInput, TrainEvent } from "batch-cam/train" */

/** Whether a function ran; the top level of a file does not count. @param {Profiler.FunctionCoverage} coverage */
const ran = ({ functionName, ranges: [whole] }) =>
  whole !== undefined && whole.count > 0 && !(functionName === "" && whole.startOffset === 0);

/** Files with a function that ran since the last call. */
async function filesSinceLastCall() {
  const { result } = await inspector.post("Profiler.takePreciseCoverage");
  return result
    .filter(({ url, functions }) => url.startsWith(DIST) && functions.some(ran))
    .map(({ url }) => url.slice(DIST.length))
    .sort();
}

/** @param {string} runDirectory */
async function filesOfStep(runDirectory) {
  /** @type {string[][]} */
  const steps = [];
  let reading = Promise.resolve();
  const enough = new AbortController();
  /** @type {TrainConfigInput} */
  const config = {
    dataset: "fashion-mnist",
    model: "convnextv2_atto",
    lambdaPrototype: 1,
    lambdaBatch: 1,
    distance: "ssim",
    limitTrain: 256,
    batchSize: 32,
    epochs: 1,
    logEvery: 1,
    output: runDirectory,
  };
  /** @param {TrainEvent} event */
  const onEvent = (event) => {
    if (event.type !== "step") return;
    reading = reading.then(async () => void steps.push(await filesSinceLastCall()));
    if (event.step === 4) enough.abort(); // no validation: nothing after the fourth step is of interest
  };
  await train(config, { onEvent, signal: enough.signal });
  await reading;
  return steps[3] ?? [];
}

async function filesOfExplain() {
  const model = createModel("resnet18", { numClasses: 10 });
  model.eval();
  const images = rand([4, 3, 64, 64]);
  explain(model, images, { method: "GradCAM" });
  await filesSinceLastCall();
  explain(model, images, { method: "GradCAM" });
  return filesSinceLastCall();
}

const folder = mkdtempSync(join(tmpdir(), "files-run-"));
try {
  inspector.connect();
  await inspector.post("Profiler.enable");
  await inspector.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
  const calls = { "A guided step": await filesOfStep(join(folder, "run")), "An explain call": await filesOfExplain() };
  for (const [title, files] of Object.entries(calls))
    console.log(`${title}: ${files.length} files\n${files.map((file) => `  ${file}\n`).join("")}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
