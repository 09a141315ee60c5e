#!/usr/bin/env node
// Measures what is lost if only a part of the steps, or of each batch, is guided: accuracy and maps of three networks on two data sets, plain,
// guided at every step, and guided in part. The times of steps are measured apart, on interleaved steps. It writes docs/benchmarks/guidance/study.json
// after each run and leaves out the runs that the file has. Run `npm run build` first, and `npm run generate` to make the tables of
// docs/benchmarks.md. All runs take about 45 minutes of processor time; several processes may share them, each with a file of its own.
//   node scripts/guidance-study.mjs [--models a,b] [--datasets a,b] [--seeds 0,1,2] [--part short|long] [--out FILE]
//   node scripts/guidance-study.mjs --times [--rounds 12]       only the times of the steps
//   node scripts/guidance-study.mjs --merge FILE...             joins files of several processes
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { capabilities } from "../dist/tensor.js";
import { train } from "../dist/train.js";
import { stepTimes } from "./guidance-study/step-times.mjs";

/** @import { TrainConfigInput } from "batch-cam/config" */
/** @import { Study, StudyRun } from "./guidance-study/types.d.ts" */

const RESULTS = fileURLToPath(new URL("../docs/benchmarks/guidance/study.json", import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    models: { type: "string", default: "simple-cnn,resnet18,convnextv2_atto" },
    datasets: { type: "string", default: "mnist,fashion-mnist" },
    seeds: { type: "string", default: "0,1,2" },
    part: { type: "string", default: "short" },
    rounds: { type: "string", default: "12" },
    out: { type: "string", default: RESULTS },
    times: { type: "boolean", default: false },
    merge: { type: "boolean", default: false },
  },
});

/** The options of all runs that are not defaults. @type {TrainConfigInput} */
const COMMON = {
  ...{ limitTrain: 5120, batchSize: 32, valImages: 1000, limitVal: 200, limitTest: 2000, valInterval: 99 },
  ...{ amp: "off", channelsLast: "off", threads: 1, figures: false, logEvery: 100 },
};

/** The parts of the study: 320 steps and, with batches of half the size, 960 steps. @type {Record<string, TrainConfigInput>} */
const PARTS = { short: { epochs: 2 }, long: { epochs: 3, batchSize: 16 } };

/** @type {Record<string, TrainConfigInput>} */
const VARIANTS = {
  plain: { plain: true },
  "every step": { guideEvery: 1 },
  "1 step in 2": { guideEvery: 2 },
  "1 step in 4": { guideEvery: 4 },
  "1 step in 10": { guideEvery: 10 },
  "a quarter of each batch": { guideEvery: 1, guideShare: 0.25 },
};

/** The runs of each network. @type {Record<string, { options: TrainConfigInput, short: string[], long: string[] }>} */
const MODELS = {
  "simple-cnn": { options: {}, short: ["plain", "every step", "1 step in 2", "1 step in 4"], long: [] },
  resnet18: {
    options: { width: 16 },
    short: ["plain", "every step", "1 step in 2", "1 step in 4", "a quarter of each batch"],
    long: [],
  },
  convnextv2_atto: {
    options: {},
    short: ["plain", "every step", "1 step in 4", "1 step in 10", "a quarter of each batch"],
    long: ["every step", "1 step in 10"],
  },
};

/** @param {string} path @returns {Study} */
function read(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return { machine: machine(), common: { ...COMMON }, runs: [], times: [] };
  }
}

/** @param {string} path @param {Study} study */
const write = (path, study) => writeFileSync(path, `${JSON.stringify(study, null, 2)}\n`);

const machine = () => ({
  cpu: cpus()[0]?.model ?? "unknown",
  kernels: capabilities().kernels,
  date: new Date().toISOString().slice(0, 10),
  node: process.version,
});

/** @param {Omit<StudyRun, "steps" | "accuracy" | "mapSsim" | "coherence" | "deadMaps">} run @returns {Promise<StudyRun>} */
async function trained(run) {
  const output = mkdtempSync(join(tmpdir(), "batch-cam-guidance-"));
  const { model, dataset, seed, part, variant } = run;
  const own = { ...MODELS[model]?.options, ...PARTS[part], ...VARIANTS[variant] };
  try {
    const config = /** @type {TrainConfigInput} */ ({ ...COMMON, ...own, model, dataset, seed, output });
    const { test, step } = await train(config);
    if (test === null) throw new Error("the run was not tested");
    const { accuracy, mapSsim, coherence, deadMaps } = test;
    return { ...run, steps: step, accuracy, mapSsim, coherence, deadMaps };
  } finally {
    rmSync(output, { recursive: true, force: true });
  }
}

async function main() {
  const list = (/** @type {string} */ text) => text.split(",");
  const { part, out } = values;
  const study = read(out);
  if (values.merge) {
    for (const path of positionals) study.runs.push(...read(path).runs);
    return write(out, study);
  }
  if (values.times) {
    study.times = stepTimes(Number(values.rounds));
    return write(out, study);
  }
  for (const seed of list(values.seeds).map(Number))
    for (const dataset of list(values.datasets))
      for (const model of list(values.models))
        for (const variant of MODELS[model]?.[part === "long" ? "long" : "short"] ?? []) {
          const run = { model, dataset, seed, part, variant };
          const isSame = (/** @type {StudyRun} */ done) =>
            Object.entries(run).every(([key, value]) => Reflect.get(done, key) === value);
          if (study.runs.some(isSame)) continue;
          const done = await trained(run);
          console.log(JSON.stringify(done));
          study.runs.push(done);
          write(out, study);
        }
}

await main();
