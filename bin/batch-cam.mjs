#!/usr/bin/env node
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

// Modules are imported only when they are needed, because set-up and doctor must run if nothing is built or installed.
const entry = new URL("../dist/cli/main.js", import.meta.url);
/** The commands that compute in this process, and therefore load libtorch. */
const COMPUTING = ["train", "find-lr", "explain", "evaluate"];
const root = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

async function run() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 9))
    return fail(`needs Node 20.9 or newer, but this is ${process.version}`);
  // Set-up does not run from dist, because it may replace dist and the npm packages that dist imports.
  if (process.argv[2] === "setup" && (process.argv.length === 3 || !existsSync(entry))) return setUp();
  if (!existsSync(entry)) {
    if (process.argv[2] === "doctor") return diagnose();
    return fail(`it is not built yet: run \`${await setupCommand()}\``);
  }
  try {
    await preload();
    const { main } = await import(entry.href);
    return await main(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")) throw error;
    return fail(`a part of it is missing: run \`${await setupCommand()}\` (${error.message.split("\n")[0]})`);
  }
}

/** Begins to load libtorch for a command that needs it, while the command itself is loaded. */
async function preload() {
  const [name = "", ...words] = process.argv.slice(2);
  if (!COMPUTING.includes(name) || words.includes("--help") || words.includes("-h")) return;
  const found = await import("../dist/engine/preload.js").catch(() => null); // if it is missing, the command says what else is
  found?.preloadAddon();
}

async function setUp() {
  const { main } = await import("../scripts/setup/main.mjs");
  return main({ sayWhenFresh: true });
}

/** The command that runs set-up. If the package lacks the file that determines it, the command of a checkout is used. */
async function setupCommand() {
  const found = await import("../scripts/setup/command.mjs").catch(() => null);
  return found?.setupCommand() ?? "npm run setup";
}

async function diagnose() {
  const { toolReport } = await import("../scripts/setup/report.mjs");
  process.stdout.write(`${toolReport({ root, env: process.env })}\n`);
  return 1;
}

/** @param {string} message */
function fail(message) {
  process.stderr.write(`batch-cam: ${message}\n`);
  return 1;
}

process.exitCode = await run();
