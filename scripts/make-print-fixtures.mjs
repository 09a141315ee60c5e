// Writes test/fixtures/printed_tensors.json and printed_modules.json with torch and torchvision.
// Usage: node scripts/make-print-fixtures.mjs [--venv <folder>] [--out <folder>]
import { writeFixtures } from "./python-environment.mjs";

writeFixtures("weights", [new URL("make-print-fixtures.py", import.meta.url)]);
