#!/usr/bin/env node
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const entry = new URL("../dist/cli/main.js", import.meta.url);

async function run() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 9))
    return fail(`needs Node 20.9 or newer, and this is ${process.version}`);
  if (!existsSync(entry)) {
    if (process.argv[2] === "doctor") return diagnose();
    return fail("it is not built yet: run `npm run setup`");
  }
  try {
    const { main } = await import(entry.href);
    return await main(process.argv.slice(2));
  } catch (error) {
    if (error.code === "EMFILE" || error.code === "ENFILE")
      return fail("the system lets this process open too few files: raise the limit with `ulimit -n 1024`");
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    return fail(`a part of it is missing: run \`npm run setup\` (${error.message.split("\n")[0]})`);
  }
}

async function diagnose() {
  const { toolReport } = await import("../scripts/setup/report.mjs");
  process.stdout.write(`${toolReport({ root: fileURLToPath(new URL("..", import.meta.url)), env: process.env })}\n`);
  return 1;
}

function fail(message) {
  process.stderr.write(`batch-cam: ${message}\n`);
  return 1;
}

process.exitCode = await run();
