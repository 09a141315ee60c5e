// Writes test/fixtures/rand_augment.json with torchvision; see make-augment-fixtures.py.
// Usage: node scripts/make-augment-fixtures.mjs [--venv <folder>] [--out <folder>]
import { writeFixtures } from "./python-environment.mjs";

writeFixtures("weights", [new URL("make-augment-fixtures.py", import.meta.url)]);
