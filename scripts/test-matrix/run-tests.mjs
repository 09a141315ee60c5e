// Runs the test suite, or a part of it, in a separate process and counts the results.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";

/** @typedef {{ passed: number, failed: number, skipped: number, seconds: number, failures: string[] }} Outcome */

/**
 * Runs vitest in a checkout with an environment, one file at a time, with the given `node`.
 * @returns {Promise<{ passed: number, failed: number, skipped: number, seconds: number, failures: string[] }>} the counts, and one line for
 * each failure
 * @param {{ root: string, env: NodeJS.ProcessEnv, files: readonly string[], node?: string }} options
 */
export async function runTests({ root, env, files, node = process.execPath }) {
  const folder = mkdtempSync(join(tmpdir(), "batch-cam-results-"));
  const path = join(folder, "results.json");
  const started = Date.now();
  try {
    const vitest = join(root, "node_modules/vitest/vitest.mjs");
    const options = ["run", "--maxWorkers=1", "--reporter=json", `--outputFile=${path}`];
    const { code, output } = await run(node, [vitest, ...options, ...files], { cwd: root, env });
    return { ...countsOf(path, { root, code, output }), seconds: Math.round((Date.now() - started) / 1000) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Runs a program until it ends, and returns its exit code and its output.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env: NodeJS.ProcessEnv }} options
 * @returns {Promise<{ code: number | string | null, output: string }>}
 */
export function run(command, args, { cwd, env }) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => (output += text));
    child.on("error", reject).on("close", (code, signal) => resolve({ code: code ?? signal, output }));
  });
}

/**
 * @param {string} path
 * @param {{ root: string, code: number | string | null, output: string }} run
 * @returns {Omit<Outcome, "seconds">}
 */
function countsOf(path, { root, code, output }) {
  /** @type {import("vitest/node").JsonTestResults} */
  let results;
  try {
    results = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    const failures = [`vitest gave no results (exit ${code}):\n${lastLines(output)}`];
    return { passed: 0, failed: 1, skipped: 0, failures };
  }
  const failures = results.testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(root, name);
    const tests = assertionResults.filter((test) => test.status === "failed");
    if (status === "failed" && tests.length === 0) return [`${file} does not load: ${firstLine(message)}`];
    return tests.map((test) => `${file}: ${test.fullName}: ${firstLine(test.failureMessages?.[0])}`);
  });
  // vitest also exits with 1 for errors outside of tests.
  if (code !== 0 && failures.length === 0) failures.push(`vitest exited with ${code}:\n${lastLines(output)}`);
  const skipped = results.numPendingTests + results.numTodoTests;
  return { passed: results.numPassedTests, failed: failures.length, skipped, failures };
}

/** @param {string} output */
const lastLines = (output) => output.trimEnd().split("\n").slice(-15).join("\n");
const firstLine = (text = "") => text.split("\n")[0];
