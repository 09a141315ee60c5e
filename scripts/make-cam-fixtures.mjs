// Writes test/fixtures/cam_extra_*, metrics_extra_* and extra-manifest.json with the Python libraries; see make-cam-fixtures.py and
// make-metric-fixtures.py.
// Usage: node scripts/make-cam-fixtures.mjs [--venv <folder>] [--out <folder>]
// --venv keeps the virtual environment in that folder (4 GB), or uses an existing one; without it a temporary folder is used.
import { writeFixtures } from "./python-environment.mjs";

const programs = ["make-cam-fixtures.py", "make-metric-fixtures.py"].map((name) => new URL(name, import.meta.url));
writeFixtures("explain", programs, { complete: true });
