#!/usr/bin/env node
// Runs the numerical tests as other processors would run them: for each combination, libtorch, oneDNN and this package's kernels are
// limited to the instructions of a lesser processor. It prints a Markdown table, and exits with 1 if a test fails.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { probe } from "./test-matrix/probe.mjs";
import { combinations, NUMERICAL_TESTS, SMOKE } from "./test-matrix/processors.mjs";
import { runTests } from "./test-matrix/run-tests.mjs";
import { markdownTable, OUTCOME_HEADS, outcomeCells, outcomeLine } from "./test-matrix/table.mjs";

/** @import { Combination } from "./test-matrix/processors.mjs" */

const ROOT = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
const HELP = `node scripts/test-processors.mjs [options]

Runs the numerical tests under each processor that this one can play, and prints a table.

  --list          print the combinations, and which of them this processor lacks, and run nothing
  --only NAMES    run the combinations whose name contains one of these (separated by commas)
  --files PATHS   run these test files (separated by commas; parts of paths will do) instead of the numerical ones
  --smoke         run one lesser processor on the tests of the kernels alone: what CI does, in about ten seconds
  --help          print this
`;

const { values } = parseArgs({
  options: {
    list: { type: "boolean", default: false },
    only: { type: "string" },
    files: { type: "string" },
    smoke: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

/** @param {string | undefined} text */
const split = (text) =>
  text
    ?.split(",")
    .map((part) => part.trim())
    .filter(Boolean);

function chosen() {
  const only = split(values.only) ?? (values.smoke ? SMOKE.combinations : undefined);
  const all = combinations();
  const found = only === undefined ? all : all.filter(({ name }) => only.some((part) => name.includes(part)));
  if (found.length > 0) return found;
  throw new Error(`--only ${values.only}: no combination has that in its name; --list prints them`);
}

function list() {
  const rows = chosen().map(({ name, env, lacks }) => [name, settings(env), lacks ? `skipped: ${lacks}` : "runs"]);
  console.log(markdownTable(["combination", "environment", "here"], rows));
}

/** @param {Record<string, string>} env */
const settings = (env) =>
  Object.entries(env)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");

/**
 * @param {unknown} found
 * @param {unknown} expected
 */
const holds = (found, expected) => (expected instanceof RegExp ? expected.test(String(found)) : found === expected);

/**
 * @param {Combination} combination
 * @param {readonly string[]} files
 */
async function runOne({ name, env: given, expected, lacks }, files) {
  if (lacks) return { row: [name, `skipped: ${lacks}`, "-", "-", "-", "-"], failures: [] };
  const env = { ...process.env, ...given };
  const ran = await probe({ root: ROOT, env });
  const wrong = Object.entries(expected).filter(([key, value]) => !holds(ran[key], value));
  const level = `libtorch ${ran.cpuCapability}, oneDNN ${ran.oneDnn}, own ${ran.kernels}, bfloat16 ${ran.fastBfloat16 ? "on" : "off"}`;
  if (wrong.length > 0) {
    const failures = wrong.map(([key, value]) => `${key} should be ${value} and is ${ran[key]}`);
    return { row: [name, level, 0, wrong.length, 0, "-"], failures };
  }
  process.stderr.write(`${name}: ${level} ...\n`);
  const outcome = await runTests({ root: ROOT, env, files });
  process.stderr.write(`${name}: ${outcomeLine(outcome)}\n`);
  return { row: [name, level, ...outcomeCells(outcome)], failures: outcome.failures };
}

async function main() {
  if (values.help) return void process.stdout.write(HELP);
  if (values.list) return list();
  const files = split(values.files) ?? (values.smoke ? SMOKE.files : NUMERICAL_TESTS);
  const results = [];
  for (const combination of chosen()) results.push({ name: combination.name, ...(await runOne(combination, files)) });
  console.log(
    markdownTable(
      ["combination", "what ran", ...OUTCOME_HEADS],
      results.map(({ row }) => row),
    ),
  );
  const failures = results.flatMap(({ name, failures: lines }) => lines.map((line) => `${name}: ${line}`));
  for (const failure of failures) console.log(`\n- ${failure}`);
  if (failures.length > 0) process.exitCode = 1;
}

main().catch((error) => {
  process.stderr.write(`test-processors: ${error.message}\n`);
  process.exitCode = 2;
});
