// Writes test/fixtures/cam_extra_*.safetensors and extra-manifest.json with the Python libraries; make-cam-fixtures.py says what.
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
  execFileSync(python, ["-B", "-W", "ignore", here("make-cam-fixtures.py"), values.out], { stdio: "inherit" });
} finally {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
}
