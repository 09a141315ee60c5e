#!/usr/bin/env node
// Writes test/fixtures/exported/tiny*: one small model exported by several versions of torch, whose files differ.
// Usage: node scripts/make-exported-fixtures.mjs [--venvs <folder>] [--out <folder>]
// It downloads about 3 GB for each version. --venvs keeps the virtual environments, one folder for each version.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { installPython } from "./python-environment.mjs";

/** One version for each format of stored programs, the version that this package uses, and the newest one. */
const VERSIONS = ["2.5", "2.6", "2.8", "2.11", "2.15"];

const program = fileURLToPath(new URL("make-exported-fixtures.py", import.meta.url));
const fixtures = fileURLToPath(new URL("../test/fixtures/exported", import.meta.url));
const { values } = parseArgs({ options: { venvs: { type: "string" }, out: { type: "string", default: fixtures } } });
for (const version of VERSIONS) {
  const folder = values.venvs === undefined ? mkdtempSync(join(tmpdir(), "batch-cam-fixtures-")) : undefined;
  try {
    const python = installPython(`exported-${version}`, join(values.venvs ?? folder ?? "", `torch-${version}`));
    execFileSync(python, ["-B", "-W", "ignore", program, values.out, version], { stdio: "inherit" });
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}
