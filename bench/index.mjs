// Compares this project with PyTorch doing the same work: `npm run bench`. docs/benchmarks.md explains the results.
//   node bench/index.mjs [--venv DIR] [--part defaults,fixed,large,explain,small-things] [--networks resnet18,...] [--rounds 5]
//   [--steps N] [--threads 2] [--wait 300] [--quick] [--out runs/bench | docs/benchmarks] [--json]
// Each part is written to <out>/<kind of processor>.json as soon as it is measured, in the place of its earlier results, so that parts may
// be measured one by one. `--out docs/benchmarks` keeps them with the documentation, whose tables `npm run generate` makes of them. --steps
// is the length of a block, with a default for each network. --wait is the time in seconds to wait for a quiet machine and to repeat
// disturbed rounds. --quick measures the smallest network of each part in two or three rounds.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { installPython } from "../scripts/python-environment.mjs";
import { describeMachine, load, Patience } from "./machine.mjs";
import { defaults } from "./parts/defaults.mjs";
import { explain } from "./parts/explain.mjs";
import { fixed, large } from "./parts/networks.mjs";
import { smallThings } from "./parts/small-things.mjs";
import { PARTS, partsInOrder } from "./plan.mjs";
import { commitOf, mergePart } from "./results.mjs";
import { partLines } from "./tables.mjs";

/** @import { Context, Measured, PartName, Taken } from "./types.d.ts" */

/** @type {Record<PartName, (context: Context) => Promise<Measured>>} */
const MEASURE = { defaults, fixed, large, explain, "small-things": smallThings };

function readOptions() {
  const { values } = parseArgs({
    options: {
      venv: { type: "string" },
      part: { type: "string", multiple: true, default: [PARTS.join(",")] },
      networks: { type: "string" },
      rounds: { type: "string" },
      steps: { type: "string" },
      threads: { type: "string", default: "2" },
      wait: { type: "string", default: "300" },
      quick: { type: "boolean", default: false },
      out: { type: "string", default: "runs/bench" },
      json: { type: "boolean", default: false },
    },
  });
  const parts = values.part.flatMap((part) => part.split(","));
  const unknown = parts.find((part) => !Object.hasOwn(MEASURE, part));
  if (unknown !== undefined) throw new Error(`--part: ${unknown} is not one of ${PARTS.join(", ")}`);
  return {
    ...values,
    parts: partsInOrder(/** @type {PartName[]} */ (parts)),
    only: values.networks?.split(","),
    rounds: Number(values.rounds ?? (values.quick ? "3" : "5")),
    steps: values.steps === undefined ? undefined : Number(values.steps),
    threads: Number(values.threads),
  };
}

/**
 * Measures a part and writes it to the processor's file.
 *
 * @param {PartName} part
 * @param {ReturnType<typeof readOptions>} options
 * @param {{ python: string, folder: string, patience: Patience }} place
 */
async function measurePart(part, { threads, rounds, steps, quick, only, out, json }, place) {
  /** @param {string} line */
  const say = (line) => process.stderr.write(`${line}\n`);
  const began = performance.now();
  const measured = await MEASURE[part]({ ...place, threads, rounds, quick, only, steps, say });
  const about = { threads, rounds, busy: measured.busy, versions: measured.versions };
  /** @type {Taken} */
  const taken = {
    date: new Date().toISOString().slice(0, 10),
    commit: commitOf(),
    machine: describeMachine(),
    ...about,
  };
  const path = mergePart(out, part, { taken, measured, only });
  const minutes = ((performance.now() - began) / 60_000).toFixed(1);
  if (!json) for (const line of partLines(part, { taken, rows: measured.rows })) console.log(line);
  say(`${part}: ${minutes} minutes; written to ${path}\n`);
  return path;
}

const options = readOptions();
const folder = mkdtempSync(join(tmpdir(), "batch-cam-bench-"));
try {
  const venv = options.venv ?? join(folder, "venv");
  const python = installPython("train-peers", venv, { complete: true });
  const patience = new Patience(Number(options.wait));
  process.stderr.write(`load average ${load().toFixed(2)}\n`);
  let path = "";
  for (const part of options.parts) path = await measurePart(part, options, { python, folder, patience });
  if (options.json) console.log(readFileSync(path, "utf8"));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
