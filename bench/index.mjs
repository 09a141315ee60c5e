// Compares training steps, the cost of guidance and memory with PyTorch doing the same work: `npm run bench`.
//   node bench/index.mjs [--venv DIR] [--models simple-cnn,resnet18,convnextv2_atto] [--rounds 7] [--steps N] [--threads 2]
//   [--wait 300] [--quick] [--explain] [--out runs/bench] [--json]
// --steps is the length of a block, with a default for each model. --wait is the time in seconds to wait for a quiet machine and to repeat
// disturbed rounds. --quick measures only SimpleCNN, in three rounds. docs/benchmarks.md explains the results.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { installPython } from "../scripts/python-environment.mjs";
import { describeMachine, LIMIT, load, Patience } from "./machine.mjs";
import { measureModel } from "./measure.mjs";
import { MODELS } from "./plan.mjs";
import {
  disagreement,
  guidedTable,
  loopTable,
  machineLines,
  memoryTable,
  stepFigure,
  stepTable,
  warnings,
} from "./tables.mjs";

/** @import { Found, ModelKey } from "./types.d.ts" */

function readOptions() {
  const { values } = parseArgs({
    options: {
      venv: { type: "string" },
      models: { type: "string" },
      rounds: { type: "string" },
      steps: { type: "string" },
      threads: { type: "string", default: "2" },
      wait: { type: "string", default: "300" },
      quick: { type: "boolean", default: false },
      explain: { type: "boolean", default: false },
      out: { type: "string", default: "runs/bench" },
      json: { type: "boolean", default: false },
    },
  });
  const { quick, models = quick ? "simple-cnn" : Object.keys(MODELS).join(","), rounds = quick ? "3" : "7" } = values;
  const unknown = models.split(",").find((name) => !Object.hasOwn(MODELS, name));
  if (unknown !== undefined) throw new Error(`--models: ${unknown} is not one of ${Object.keys(MODELS).join(", ")}`);
  return {
    ...values,
    models: /** @type {ModelKey[]} */ (models.split(",")),
    rounds: Number(rounds),
    steps: values.steps === undefined ? undefined : Number(values.steps),
    threads: Number(values.threads),
  };
}

/**
 * @param {ReturnType<typeof readOptions>} options
 * @param {{ python: string, folder: string }} place
 * @returns {Promise<Found>}
 */
async function measureAll(options, { python, folder }) {
  const [before, patience] = [load(), new Patience(Number(options.wait))];
  /** @param {string} line */
  const say = (line) => process.stderr.write(`${line}\n`);
  const { threads, rounds, steps } = options;
  const results = [];
  for (const name of options.models) {
    say(name);
    results.push(await measureModel(name, { python, folder, threads, rounds, steps, patience, say }));
  }
  return {
    machine: describeMachine(),
    versions: results[0]?.versions ?? { libtorch: "none", torch: "none" },
    options: { threads, rounds, models: options.models },
    load: { before, after: load() },
    disturbedAbove: LIMIT,
    disagreement: disagreement(results),
    results,
  };
}

/** @param {Found} found */
function report(found) {
  const { results } = found;
  for (const line of machineLines(found)) console.log(line);
  console.log("\nTraining steps");
  console.table(stepTable(results));
  console.log("Guidance: time of a guided step relative to the plain step measured next to it");
  console.table(guidedTable(results));
  console.log("Other ways to maps inside a training step");
  console.table(loopTable(results));
  console.log(
    "Peak resident memory of a training process, and the part that was added after its libraries were loaded",
  );
  console.table(memoryTable(results));
  for (const line of warnings(results)) console.log(line);
}

/**
 * @param {Found} found
 * @param {string} out
 */
function save(found, out) {
  mkdirSync(out, { recursive: true });
  const { svg, png } = stepFigure(found);
  writeFileSync(join(out, "bench.json"), `${JSON.stringify(found, null, 2)}\n`);
  writeFileSync(join(out, "train-steps.svg"), svg);
  writeFileSync(join(out, "train-steps.png"), png);
}

const options = readOptions();
const folder = mkdtempSync(join(tmpdir(), "batch-cam-bench-"));
try {
  const venv = options.venv ?? join(folder, "venv");
  const python = installPython("train-peers", venv, { complete: true });
  const found = await measureAll(options, { python, folder });
  save(found, options.out);
  if (options.json) console.log(JSON.stringify(found, null, 2));
  else {
    report(found);
    console.log(`bench.json, train-steps.svg and train-steps.png are in ${options.out}`);
  }
  const explain = [fileURLToPath(new URL("explain.mjs", import.meta.url)), "--venv", venv];
  if (options.explain) spawnSync(process.execPath, explain, { stdio: "inherit" });
  else if (!options.json)
    console.log("Explanations against pytorch-grad-cam and torch-cam: node bench/explain.mjs --venv DIR");
} finally {
  rmSync(folder, { recursive: true, force: true });
}
