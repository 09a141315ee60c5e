#!/usr/bin/env node
// Shows that weights go back to Python: a network of timm is exported, trained here with guidance, and its checkpoint is loaded into the
// original module by `load_state_dict`, which then gives the same logits.
// Usage: npm run setup && node scripts/exported-interop.mjs [--venv <folder of a Python environment that is kept>]
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { splitOf } from "batch-cam/data";
import { loadExportedModel } from "batch-cam/models";
import { loadSafetensors, manualSeed, noGrad, rand, randn, saveSafetensors, tidy } from "batch-cam/tensor";
import { train } from "batch-cam/train";
import { installPython } from "./python-environment.mjs";

/** @import { Tensor } from "batch-cam/tensor" */

const TOLERANCE = 1e-4; // relative to the largest logit: the float32 sums of the folded layers differ in their last digits

const { values } = parseArgs({ options: { venv: { type: "string" } } });
const folder = mkdtempSync(join(tmpdir(), "batch-cam-exported-"));

/** @param {string} name */
const path = (name) => join(folder, name);

/** Trains the exported network on noise: what is shown is the exchange, not what is learnt. */
async function trained() {
  manualSeed(0);
  /** @param {number} count */
  const split = (count) =>
    splitOf(
      rand([count, 3, 32, 32]),
      Array.from({ length: count }, (_, i) => i % 3),
    );
  const data = { train: split(48), validation: split(12) };
  const model = /** @type {`${string}.pt2`} */ (path("model.pt2"));
  const config = { model, epochs: 2, batchSize: 16, lambdaPrototype: 1, output: folder, experiment: "run" };
  await train(config, { data });
  copyFileSync(path("run/checkpoints/best.safetensors"), path("best.safetensors"));
}

/** The logits of the trained network, here. */
async function ownLogits() {
  const weights = await loadSafetensors(path("best.safetensors"));
  const model = await loadExportedModel(path("model.pt2"));
  model.loadStateDict(weights);
  const images = randn([4, 3, 32, 32]);
  await saveSafetensors(path("images.safetensors"), new Map([["images", images]]));
  return noGrad(() => model.forward(images));
}

async function main() {
  const python = installPython("zoo", values.venv ?? path("venv"));
  const program = fileURLToPath(new URL("exported-interop.py", import.meta.url));
  /** @param {string} task */
  const inPython = (task) => execFileSync(python, ["-B", "-W", "ignore", program, task, folder], { stdio: "inherit" });
  inPython("export");
  await trained();
  const own = await ownLogits();
  inPython("load");
  const theirs = /** @type {Tensor} */ ((await loadSafetensors(path("python.safetensors"))).get("logits"));
  const error = tidy(() => own.sub(theirs).abs().max().item() / theirs.abs().max().item());
  console.log(`load_state_dict took best.safetensors; the logits differ by ${error.toExponential(1)} of the largest`);
  if (!(error <= TOLERANCE)) process.exitCode = 1;
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
