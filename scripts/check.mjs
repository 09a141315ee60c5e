#!/usr/bin/env node
// `npm run check`: runs all checks of the sources except the tests, in parallel, and prints the output of the checks that fail. `node
// scripts/check.mjs types imports` runs only the named ones.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { addon } from "./setup/addon.mjs";
import { packages } from "./setup/packages.mjs";
import { typescript } from "./setup/typescript.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BIN = join(ROOT, "node_modules/.bin");

/** @typedef {{ command: string, args: string[] }} Check */

/** @param {...string} args */
const node = (...args) => ({ command: process.execPath, args });
/** @param {string} name @param {...string} args */
const tool = (name, ...args) => ({ command: join(BIN, name), args });

/** The slowest checks come first, so that none of them runs alone at the end. @type {Record<string, Check | null>} */
const CHECKS = {
  lint: tool("biome", "check", "."),
  types: tool("tsc", "--noEmit"),
  exports: node("scripts/check-exports.mjs"),
  "types of scripts": scriptTypes(),
  pages: tool("vitest", "run", "test/docs.test.ts", "--reporter=dot"),
  operators: operators(),
  "C++ format": clangFormat(),
  repository: node("scripts/check-repository.mjs"),
  imports: node("scripts/check-imports.mjs"),
  benchmarks: node("bench/docs.mjs", "--check"),
};

/** The operators' schemas come from the addon, so this check needs an addon built from these sources; `npm run setup` builds it. */
function operators() {
  const built = addon.isFresh({ root: ROOT, env: process.env });
  return built ? node("scripts/generate-ops.mjs", "--check") : null;
}

/** Scripts import files that the set-up builds, so their types can be checked only if those were built from these sources. */
function scriptTypes() {
  return typescript.isFresh({ root: ROOT }) ? tool("tsc", "-p", "tsconfig.scripts.json") : null;
}

/** The package has no program for Linux on ARM. The format does not depend on the machine, so the check on other machines is enough. */
function clangFormat() {
  const programs = join(dirname(createRequire(import.meta.url).resolve("clang-format")), "bin");
  const here = `${process.platform}_${process.platform === "darwin" ? "x64" : process.arch}`;
  if (!existsSync(join(programs, here))) return null;
  const files = ["binding", "kernels", "memory", "ops"].flatMap((part) =>
    readdirSync(join(ROOT, "native", part))
      .filter((name) => /\.(cc|h)$/.test(name))
      .map((name) => `native/${part}/${name}`),
  );
  return tool("clang-format", "--dry-run", "-Werror", "--style=file", ...files);
}

/**
 * Runs a check.
 *
 * @param {string} name
 * @param {Check | null} check
 * @returns {Promise<{ name: string, ok: boolean, output: string, seconds: number }>}
 */
function run(name, check) {
  if (check === null) return Promise.resolve({ name, ok: true, output: "skipped (see scripts/check.mjs)", seconds: 0 });
  const began = performance.now();
  return new Promise((resolve) => {
    const child = spawn(check.command, check.args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (part) => {
        output += part;
      });
    child.on("error", (error) => {
      output += `${error.message}; install the packages (npm ci)\n`;
    });
    child.on("close", (code) => {
      resolve({ name, ok: code === 0, output, seconds: (performance.now() - began) / 1000 });
    });
  });
}

/**
 * Installs the packages of package-lock.json that node_modules lacks, for example after a pull that changed both. `npm ci` would first
 * empty node_modules, which running tests may be using.
 */
function installPackages() {
  if (packages.isFresh({ root: ROOT })) return;
  process.stdout.write("npm packages: node_modules does not match package-lock.json; installing\n");
  const args = ["install", "--no-save", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
  execFileSync("npm", args, { cwd: ROOT, stdio: "inherit" });
}

async function main() {
  installPackages();
  const asked = process.argv.slice(2);
  const unknown = asked.filter((name) => !Object.hasOwn(CHECKS, name));
  if (unknown.length > 0)
    throw new Error(`check: there is no check "${unknown[0]}"; the checks are ${Object.keys(CHECKS).join(", ")}`);
  const chosen = Object.entries(CHECKS).filter(([name]) => asked.length === 0 || asked.includes(name));
  const results = await Promise.all(chosen.map(([name, check]) => run(name, check)));
  for (const { name, ok, output, seconds } of results) {
    const said = output.trim().split("\n").at(-1);
    process.stdout.write(
      ok ? `${name}: ${said || "good"} (${seconds.toFixed(1)} s)\n` : `${name}: FAILED\n${output}\n`,
    );
  }
  if (results.some(({ ok }) => !ok)) process.exitCode = 1;
}

await main();
