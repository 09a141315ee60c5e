#!/usr/bin/env node
// Exports networks of timm and torchvision as .pt2 files, and compares what batch-cam computes for them with PyTorch: the logits, the
// output of the target layer, Grad-CAM (with pytorch-grad-cam), and the gradient of a guided loss. It prints a Markdown table.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { emptyCache } from "batch-cam/tensor";
import { installPython } from "./python-environment.mjs";
import { markdownTable } from "./test-matrix/table.mjs";
import { compareNetwork, targetOf } from "./zoo/compare.mjs";

/** @typedef {{ name: string, library: string, model: string, size: number }} Network */
/** @typedef {{ name: string, error?: string, parameters?: number }} PythonRow */

const HELP = `node scripts/zoo.mjs [options]

Compares imported networks with PyTorch, and prints a table. It exits with 1 if a network does not agree.

  --venv DIR      keep the Python environment there, and use it again (torch and its dependencies, some GB)
  --folder DIR    keep the exported files and the numbers there, and use them again (some GB)
  --only NAMES    the networks whose name contains one of these (separated by commas)
  --list          print the networks, and run nothing
  --help          print this
`;

const NETWORKS = /** @type {Network[]} */ (
  JSON.parse(readFileSync(new URL("zoo/networks.json", import.meta.url), "utf8"))
);
const PROGRAM = fileURLToPath(new URL("zoo/zoo.py", import.meta.url));

const { values } = parseArgs({
  options: {
    venv: { type: "string" },
    folder: { type: "string" },
    only: { type: "string" },
    list: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

/**
 * Runs one task of zoo.py for one network. Each has its own process, so that memory does not add up.
 *
 * @param {string} python
 * @param {"export" | "reference"} task
 * @param {{ folder: string, name: string }} of
 * @returns {PythonRow}
 */
function inPython(python, task, { folder, name }) {
  const kept = join(folder, `${name}.${task}.json`);
  const tensors = join(folder, task === "export" ? `${name}.pt2` : `${name}.reference.safetensors`);
  if (existsSync(kept) && existsSync(tensors)) return JSON.parse(readFileSync(kept, "utf8"));
  const text = execFileSync(python, ["-B", "-W", "ignore", PROGRAM, task, folder, name], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    maxBuffer: 1 << 26,
  });
  const row = /** @type {PythonRow} */ (JSON.parse(text.trim().split("\n").at(-1) ?? ""));
  if (row.error === undefined) writeFileSync(kept, JSON.stringify(row));
  return row;
}

/**
 * @param {string} python
 * @param {string} folder
 * @param {Network} network
 */
async function judge(python, folder, { name }) {
  const exported = inPython(python, "export", { folder, name });
  if (exported.error !== undefined) return { name, verdict: `PyTorch: ${exported.error}`, passed: null };
  const target = await targetOf(folder, name);
  if ("refused" in target) return { name, verdict: `refused: ${target.refused}`, passed: false };
  keepTarget(folder, name, target);
  const reference = inPython(python, "reference", { folder, name });
  if (reference.error !== undefined) return { name, verdict: `PyTorch: ${reference.error}`, passed: null, target };
  return {
    name,
    target,
    ...(await compareNetwork(folder, name, target)),
  };
}

/**
 * Writes the target layer for zoo.py. A reference that is kept for another layer, or for this layer in another layout, does not hold any more.
 *
 * @param {string} folder
 * @param {string} name
 * @param {import("./zoo/compare.mjs").Target} target
 */
function keepTarget(folder, name, target) {
  const file = join(folder, `${name}.layer.json`);
  const text = JSON.stringify(target);
  if (existsSync(file) && readFileSync(file, "utf8") === text) return;
  rmSync(join(folder, `${name}.reference.json`), { force: true });
  writeFileSync(file, text);
}

async function main() {
  if (values.help) return void process.stdout.write(HELP);
  const parts = values.only?.split(",");
  const chosen = NETWORKS.filter(({ name }) => parts === undefined || parts.some((part) => name.includes(part)));
  if (values.list) return void process.stdout.write(`${chosen.map(({ name }) => name).join("\n")}\n`);
  const work = values.folder ?? mkdtempSync(join(tmpdir(), "batch-cam-zoo-"));
  mkdirSync(work, { recursive: true });
  try {
    const python = installPython("zoo", values.venv ?? join(work, "venv"));
    const rows = [];
    for (const network of chosen) {
      const row = await judge(python, work, network);
      emptyCache(); // the largest networks need gigabytes in float64, which Python needs next
      process.stderr.write(`${row.name}: ${row.passed ? "passed" : row.verdict}\n`);
      rows.push(row);
    }
    report(rows);
  } finally {
    if (values.folder === undefined) rmSync(work, { recursive: true, force: true });
  }
}

/** @typedef {import("./zoo/compare.mjs").Outcome & { name: string, target?: import("./zoo/compare.mjs").Target }} Row */

/** @param {Row[]} rows */
function report(rows) {
  /** @param {number | undefined} value */
  const figure = (value) => (value === undefined ? "" : value.toExponential(1));
  const cells = rows.map(({ name, target, errors, verdict }) => [
    name,
    target === undefined ? "" : `${target.layer} (${target.layout.kind})`,
    ...["logits32", "logits", "tap", "cam", "gradient"].map((key) => figure(errors?.[key])),
    verdict,
  ]);
  const head = [
    "network",
    "target layer",
    "logits, float32",
    "logits",
    "layer's output",
    "Grad-CAM",
    "guided gradient",
    "verdict",
  ];
  console.log(markdownTable(head, cells));
  const judged = rows.filter(({ passed }) => passed !== null);
  const good = judged.filter(({ passed }) => passed).length;
  console.log(
    `\n${good} of ${judged.length} agree; PyTorch itself could not export or differentiate ${rows.length - judged.length}.`,
  );
  if (good < judged.length) process.exitCode = 1;
}

main().catch((error) => {
  process.stderr.write(`zoo: ${error.stack}\n`);
  process.exitCode = 2;
});
