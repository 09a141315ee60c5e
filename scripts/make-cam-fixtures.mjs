// Writes test/fixtures/cam_extra_*, metrics_extra_* and extra-manifest.json with the Python libraries: make-cam-fixtures.py and
// make-metric-fixtures.py say what.
// Usage: node scripts/make-cam-fixtures.mjs [--venv <folder>] [--out <folder>]
// --venv keeps the virtual environment there (4 GB), and uses one that is there; without it a temporary folder is used.
import { writeFixtures } from "./python-environment.mjs";

const programs = ["make-cam-fixtures.py", "make-metric-fixtures.py"].map((name) => new URL(name, import.meta.url));
writeFixtures("explain", programs, { complete: true });
