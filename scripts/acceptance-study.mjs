#!/usr/bin/env node
// Trains the larger models on MNIST, without and with guidance and with two seeds, and compares the results with those of a PyTorch
// reference of the same recipes. It takes about 20 minutes on two cores; --row runs one row.
//   node scripts/acceptance-study.mjs [--row resnet18-narrow] [--seeds 0,1] [--output DIR]
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { train } from "../dist/train.js";

const { values } = parseArgs({
  options: {
    row: { type: "string" },
    seeds: { type: "string", default: "0,1" },
    output: { type: "string", default: "" },
  },
});
const output = values.output || mkdtempSync(join(tmpdir(), "batch-cam-acceptance-"));

/** @import { TrainConfigInput } from "batch-cam/config" */
/** @import { SplitRecord } from "batch-cam/train" */
/**
 * @typedef {object} Goal
 * @property {TrainConfigInput} config
 * @property {number} [accuracy] lowest accuracy
 * @property {number} [ssim] lowest SSIM of the test maps and their prototypes
 * @property {number} [ssimMost] highest SSIM
 * @property {number} [behindPlain] most by which the accuracy may be below plain training's
 * @property {number} [apart] most by which the accuracy may differ from the first run's
 */

/** @type {TrainConfigInput} */
const PLAIN = { plain: true };
/** @type {TrainConfigInput} */
const L1 = { distance: "l1", lambdaPrototype: 2 };
/** @type {TrainConfigInput} */
const SSIM = { distance: "ssim", lambdaPrototype: 1 };
/** @type {TrainConfigInput} */
const ONE_CYCLE = { sched: "onecycle", lambdaWarmup: 30 };
/** @type {TrainConfigInput} */
const NARROW = { model: "resnet18", width: 16, limitTrain: 10_000, epochs: 2, lr: 4e-3, ...ONE_CYCLE };
/** @type {TrainConfigInput} */
const ATTO = { model: "convnextv2_atto", opt: "adamw", lr: 2e-3, batchSize: 64, ...ONE_CYCLE };

/**
 * The runs of each model, with bounds of the accuracy and of the SSIM between test maps and prototypes.
 *
 * @type {Record<string, { config: TrainConfigInput, runs: Record<string, Goal> }>}
 */
const ROWS = {
  "resnet18-narrow": {
    config: { ...NARROW, camLayer: "layer4" },
    runs: {
      plain: { config: PLAIN, accuracy: 0.975 },
      l1: { config: L1, accuracy: 0.975, ssim: 0.34 },
      ssim: { config: SSIM, accuracy: 0.975, ssim: 0.47 },
    },
  },
  "resnet18-narrow-7x7": {
    config: NARROW,
    runs: {
      plain: { config: PLAIN, accuracy: 0.975 },
      l1: { config: L1, accuracy: 0.975, ssim: 0.47 },
      ssim: { config: SSIM, accuracy: 0.975 },
    },
  },
  "convnextv2-atto-7x7": {
    config: { ...ATTO, limitTrain: 5000, epochs: 2 },
    runs: {
      plain: { config: PLAIN, accuracy: 0.9, ssimMost: 0.15 },
      l1: { config: L1, accuracy: 0.9, ssim: 0.5, behindPlain: 0.015 },
    },
  },
  "resnet18-precision": {
    config: { ...NARROW, ...L1 },
    runs: {
      float32: { config: { amp: "off", channelsLast: "off" }, accuracy: 0.975 },
      bfloat16: { config: { amp: "on", channelsLast: "on" }, accuracy: 0.975, apart: 0.003 },
    },
  },
  "resnet18-full": {
    config: { model: "resnet18", limitTrain: 10_000, epochs: 1, lr: 2e-3, ...ONE_CYCLE },
    runs: { plain: { config: PLAIN }, l1: { config: L1 } },
  },
  "convnextv2-atto-patch1": {
    config: { ...ATTO, patchSize: 1, limitTrain: 10_000, epochs: 1 },
    runs: { plain: { config: PLAIN }, l1: { config: L1 } },
  },
};

/**
 * The goals that a run's test results miss; `first` are the results of the row's first run.
 *
 * @param {Goal} goal
 * @param {SplitRecord} record
 * @param {SplitRecord} first
 */
function faults({ accuracy, ssim, ssimMost, behindPlain, apart }, record, first) {
  return [
    accuracy !== undefined && record.accuracy < accuracy && `accuracy below ${accuracy}`,
    ssim !== undefined && record.mapSsim < ssim && `SSIM below ${ssim}`,
    ssimMost !== undefined && record.mapSsim > ssimMost && `SSIM above ${ssimMost}`,
    behindPlain !== undefined &&
      record.accuracy < first.accuracy - behindPlain &&
      `more than ${behindPlain} below plain training`,
    apart !== undefined &&
      Math.abs(record.accuracy - first.accuracy) > apart &&
      `more than ${apart} from the first run`,
  ].filter(Boolean);
}

let failed = 0;
for (const [row, { config, runs }] of Object.entries(ROWS)) {
  if (values.row !== undefined && values.row !== row) continue;
  for (const seed of values.seeds.split(",")) {
    /** @type {SplitRecord | undefined} */
    let first;
    for (const [run, goal] of Object.entries(runs)) {
      const name = `${row}-${run}-seed${seed}`;
      const start = performance.now();
      const settings = { ...config, ...goal.config, seed: Number(seed), output, experiment: name, overwrite: true };
      const { test: record } = await train({ ...settings, figures: false });
      if (record === null) throw new Error(`${name} was interrupted`);
      first ??= record;
      const wrong = faults(goal, record, first);
      failed += wrong.length;
      const seconds = ((performance.now() - start) / 1000).toFixed(0);
      const figures = `accuracy ${(100 * record.accuracy).toFixed(2)} %  SSIM ${record.mapSsim.toFixed(3)}  L1 ${record.mapL1.toFixed(3)}`;
      const more = `coherence ${record.coherence.toFixed(3)}  dead ${(100 * record.deadMaps).toFixed(1)} %  ${seconds} s`;
      console.log(`${name.padEnd(38)} ${figures}  ${more}  ${wrong.join(", ") || "as expected"}`);
    }
  }
}
process.exitCode = failed > 0 ? 1 : 0;
