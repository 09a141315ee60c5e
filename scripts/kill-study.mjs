#!/usr/bin/env node
// Kills a training run with SIGKILL at random moments and resumes it until it ends. Its weights must then equal those of an uninterrupted
// run, bit for bit.
//   node scripts/kill-study.mjs [--kills 50] [--seed 1]
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: { kills: { type: "string", default: "50" }, seed: { type: "string", default: "1" } },
});
const wanted = Number(values.kills);
const program = join(dirname(fileURLToPath(import.meta.url)), "../bin/batch-cam.mjs");
const output = mkdtempSync(join(tmpdir(), "batch-cam-kill-"));
const CONFIG = [
  ["--limit-train", "640"],
  ["--val-images", "60"],
  ["--limit-test", "60"],
  ["--batch-size", "32"],
  ["--epochs", "3"],
  ["--norm", "batch"],
  ["--statistic", "cam-ema"],
  ["--sched", "onecycle"],
  ["--model-ema"],
  ["--patience", "2"],
  ["--keep-epochs", "1"],
  ["--aug-shift", "0.1"],
  ["--aug-rotate", "10"],
  ["--aug-erase", "0.3"],
  ["--checkpoint-every", "3"],
  ["--log-every", "1"],
  ["--no-figures"],
].flat();

let state = Number(values.seed);
/** A number drawn uniformly from [0, 1), the same for the same seed. */
function random() {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
}

/**
 * Runs `batch-cam train`, and kills it after `milliseconds` of training if they are given. Resolves to whether it ended by itself.
 *
 * @param {string[]} args
 * @param {number} [milliseconds]
 * @returns {Promise<boolean>}
 */
function run(args, milliseconds) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, "train", "--output", output, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    /** @param {Buffer} chunk */
    const listen = (chunk) => {
      said += chunk;
      // The time starts with the first line of output, because everything before is the loading of the engine.
      if (milliseconds !== undefined) timer ??= setTimeout(() => child.kill("SIGKILL"), milliseconds);
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve(true);
      else if (signal === "SIGKILL") resolve(false);
      else reject(new Error(`batch-cam train ${args.join(" ")} ended with ${code ?? signal}:\n${said}`));
    });
  });
}

/** @param {string} name */
const digest = (name) =>
  createHash("sha256")
    .update(readFileSync(join(output, name, "checkpoints/last.safetensors")))
    .digest("hex");
/**
 * @param {string} name
 * @returns {number[]}
 */
const steps = (name) =>
  readFileSync(join(output, name, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).step);

async function main() {
  const began = performance.now();
  await run(["--experiment", "whole", ...CONFIG]);
  const span = performance.now() - began;
  const expected = { weights: digest("whole"), steps: steps("whole").join() };
  let kills = 0;
  for (let round = 1; kills < wanted; round++) {
    const name = `round-${round}`;
    let first = true;
    for (let ended = false; !ended; first = false) {
      const resume = !first && existsSync(join(output, name, "config.json"));
      const args = ["--experiment", name, ...(resume ? ["--resume"] : ["--overwrite", ...CONFIG])];
      ended = await run(args, kills < wanted ? random() * span * 0.6 : undefined);
      if (!ended) kills += 1;
    }
    const same = digest(name) === expected.weights && steps(name).join() === expected.steps;
    if (!same) {
      console.error(`round ${round}, ${kills} kills: weights or log differ from those of the uninterrupted run`);
      console.error(`weights ${digest(name)}, expected ${expected.weights}`);
      console.error(`steps logged ${steps(name).join()}, expected ${expected.steps}`);
      return 1;
    }
    console.log(`round ${round}: ${kills} kills so far, weights and log equal those of the uninterrupted run`);
    rmSync(join(output, name), { recursive: true });
  }
  console.log(`${kills} kills: every run resumed and ended with the weights of the uninterrupted run, bit for bit`);
  return 0;
}

process.exitCode = await main().finally(() => rmSync(output, { recursive: true, force: true }));
