// Writes test/fixtures/cam_extra_*, metrics_extra_* and extra-manifest.json with the Python libraries: make-cam-fixtures.py and
// make-metric-fixtures.py say what.
// Usage: node scripts/make-cam-fixtures.mjs [--venv <folder>] [--out <folder>]
// --venv keeps the virtual environment there (4 GB), and uses one that is there; without it a temporary folder is used.
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
const folder = values.venv === undefined ? mkdtempSync(join(tmpdir(), "batch-cam-explain-")) : undefined;
try {
  const python = installPython("explain", values.venv ?? join(folder, "venv"), { complete: true });
  for (const script of ["make-cam-fixtures.py", "make-metric-fixtures.py"])
    execFileSync(python, ["-B", "-W", "ignore", here(script), values.out], { stdio: "inherit" });
} finally {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
}
