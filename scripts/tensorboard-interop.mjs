// Trains with --tensorboard, stops and resumes the run, and checks that TensorBoard reads every number of the log from the event files.
// Usage: npm run build && node scripts/tensorboard-interop.mjs [--venv <folder>] (it needs python3 with venv)
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { installPython } from "./python-environment.mjs";

/**
 * @typedef {object} Seen the content that TensorBoard read
 * @property {Record<string, [step: number, value: number][]>} scalars
 * @property {Record<string, [step: number, width: number][]>} images
 * @property {Record<string, string>} texts
 */

/** @param {string} path */
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values } = parseArgs({ options: { venv: { type: "string" } } });
const folder = mkdtempSync(join(tmpdir(), "batch-cam-tensorboard-"));

/**
 * The rows of the log, as [tag, step, value].
 *
 * @param {string} run
 * @returns {[tag: string, step: number, value: number][]}
 */
function loggedNumbers(run) {
  const rows = readFileSync(join(run, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((row) => JSON.parse(row));
  /**
   * @param {string} group
   * @param {number} step
   * @param {Record<string, unknown>} record
   * @returns {[string, number, number][]}
   */
  const numbers = (group, step, record) =>
    Object.entries(record).flatMap(([key, value]) =>
      typeof value === "number" ? [[`${group}/${key}`, step, value]] : [],
    );
  return rows.flatMap(({ kind, epoch, step, train, val, ...metrics }) => {
    if (kind === "step") return numbers("step", step, metrics);
    return kind === "epoch" ? [...numbers("train", step, train), ...numbers("val", step, val)] : [];
  });
}

/**
 * @param {boolean} condition
 * @param {string} message
 */
function check(condition, message) {
  if (condition) return;
  console.error(`tensorboard-interop: ${message}`);
  process.exit(1);
}

try {
  const python = installPython("tensorboard", values.venv ?? join(folder, "venv"));
  const common = ["--output", folder, "--experiment", "run"];
  /** @param {...string} args */
  const train = (...args) =>
    execFileSync(process.execPath, [here("../bin/batch-cam.mjs"), "train", ...common, ...args], { stdio: "ignore" });
  train(
    "--tensorboard",
    "--limit-train",
    "640",
    "--limit-test",
    "60",
    "--val-images",
    "60",
    "--batch-size",
    "32",
    "--log-every",
    "1",
    "--epochs",
    "2",
    "--checkpoint-every",
    "4",
    "--max-steps",
    "26",
  );
  train("--resume", "--max-steps", "40");
  const run = join(folder, "run");
  /** @type {Seen} */
  const seen = JSON.parse(
    execFileSync(python, [here("tensorboard-interop.py"), join(run, "tensorboard")], { encoding: "utf8" }),
  );
  const expected = loggedNumbers(run);
  for (const [tag, step, value] of expected) {
    const found = seen.scalars[tag]?.filter(([at]) => at === step) ?? [];
    check(found.length > 0, `${tag} of step ${step} is missing`);
    check(
      Math.abs((found.at(-1)?.[1] ?? Number.NaN) - Math.fround(value)) <= 1e-6 * Math.abs(value),
      `${tag} of step ${step} is ${found}, not ${value}`,
    );
  }
  const steps = (seen.scalars["step/loss"] ?? []).map(([at]) => at);
  check(steps.join() === Array.from({ length: 40 }, (_, i) => i + 1).join(), `steps are ${steps}`);
  const { maps = [] } = seen.images;
  check(maps.length >= 2 && maps.every(([, width]) => width > 100), "the maps' pictures are missing");
  check(seen.texts.config?.includes("| tensorboard | true |") === true, "the config is missing");
  console.log(`TensorBoard reads back ${expected.length} numbers, ${maps.length} pictures and the config`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
