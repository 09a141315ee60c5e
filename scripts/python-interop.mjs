// Checks that this project and Python's safetensors read each other's files, and write the same bytes, for every dtype.
// Usage: npm run build && node scripts/python-interop.mjs (it needs python3 with venv; packages are installed in a temporary folder)
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadSafetensors, readSafetensorsMetadata, saveSafetensors, tensor, tidy } from "batch-cam/tensor";
import { installPython } from "./python-environment.mjs";

/** @import { Tensor } from "batch-cam/tensor" */

// The same shapes as in python-interop.py.
const SHAPES = { scalar: [], vector: [5], matrix: [2, 3], empty: [0], hollow: [2, 0, 3] };
/** @type {import("batch-cam/tensor").DType[]} */
const DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"];
const METADATA = { name: 'na\u00efve "quoted" \\ \n \u{1f600}' };

/** @returns {Map<string, Tensor>} */
function makeTensors() {
  const tensors = new Map();
  for (const dtype of DTYPES) {
    for (const [name, shape] of Object.entries(SHAPES)) {
      const count = shape.reduce((product, size) => product * size, 1);
      const values = Int32Array.from({ length: count }, (_, i) => ((3 * i) % 7) - 2);
      const shown = dtype === "uint8" ? values.map(Math.abs) : values;
      tensors.set(`${dtype}.${name}`, tensor(shown, { shape, dtype }));
    }
  }
  return tensors;
}

/**
 * @param {Map<string, Tensor>} ours
 * @param {string} folder
 */
async function compareWithTheirs(ours, folder) {
  const path = join(folder, "theirs.safetensors");
  const read = await loadSafetensors(path);
  if (read.size !== ours.size) fail(`expected ${ours.size} tensors from Python, got ${read.size}`);
  for (const [name, wanted] of ours) {
    const got = read.get(name);
    if (got?.dtype !== wanted.dtype || !tidy(() => got.equal(wanted))) fail(`${name}: expected ${wanted}, got ${got}`);
  }
  const metadata = await readSafetensorsMetadata(path);
  if (metadata.name !== METADATA.name) fail(`metadata: got ${JSON.stringify(metadata)}`);
  const bytesOf = (/** @type {string} */ name) => readFileSync(join(folder, `${name}.safetensors`));
  if (!bytesOf("ours").equals(bytesOf("theirs"))) fail("the two files contain the same tensors in different bytes");
}

/**
 * @param {string} problem
 * @returns {never}
 */
function fail(problem) {
  console.error(`python-interop: ${problem}`);
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), "batch-cam-interop-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const python = installPython("interop", join(folder, "venv"));
const ours = makeTensors();
await saveSafetensors(join(folder, "ours.safetensors"), ours, METADATA);
execFileSync(python, [fileURLToPath(new URL("python-interop.py", import.meta.url)), folder], { stdio: "inherit" });
await compareWithTheirs(ours, folder);
console.log(`python-interop: ${ours.size} tensors of ${DTYPES.length} dtypes agree in both directions, byte for byte`);
