// Writes test/fixtures/paired_tests.json with SciPy.
// Usage: node scripts/make-statistics-fixtures.mjs [--venv <folder>] [--out <folder>]
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { installPython } from "./python-environment.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values } = parseArgs({
  options: { venv: { type: "string" }, out: { type: "string", default: here("../test/fixtures") } },
});
const folder = values.venv === undefined ? mkdtempSync(join(tmpdir(), "batch-cam-statistics-")) : undefined;
try {
  const python = installPython("statistics", values.venv ?? join(folder, "venv"));
  execFileSync(python, ["-B", "-W", "ignore", here("make-statistics-fixtures.py"), values.out], { stdio: "inherit" });
} finally {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
}
