// Writes test/fixtures/paired_tests.json with SciPy.
// Usage: node scripts/make-statistics-fixtures.mjs [--venv <folder>] [--out <folder>]
import { writeFixtures } from "./python-environment.mjs";

writeFixtures("statistics", [new URL("make-statistics-fixtures.py", import.meta.url)]);
