// Writes test/fixtures/inputs/npy-dtypes.npz with NumPy and torchvision-resize.json with torchvision; see make-data-fixtures.py.
// Usage: node scripts/make-data-fixtures.mjs [--venv <folder>] [--out <folder>]
import { writeFixtures } from "./python-environment.mjs";

writeFixtures("weights", [new URL("make-data-fixtures.py", import.meta.url)]);
