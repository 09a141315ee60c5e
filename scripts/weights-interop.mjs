// Checks that weights can be exchanged with torchvision and timm in both directions, and loaded from transformers (as one file, in shards,
// and as a torch.save file): the same weights must give the same logits.
// Usage: npm run setup && node scripts/weights-interop.mjs [--python <interpreter with the requirements>]
// Without --python, the requirements are installed in a virtual environment in a temporary folder (torch and its dependencies, some GB).
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createModel, describeWeights, loadPretrained, loadWeights } from "batch-cam/models";
import { loadSafetensors, manualSeed, noGrad, randn, saveSafetensors, tidy } from "batch-cam/tensor";
import { installPython } from "./python-environment.mjs";

/** @import { Tensor } from "batch-cam/tensor" */
/** @typedef {{ folder: string, python: string }} Places */

// The arguments with which torchvision and timm make each model, so that both sides build the same network by name.
const MODELS = [
  { name: "resnet18", library: "torchvision" },
  { name: "resnet34", library: "torchvision" },
  { name: "convnextv2_atto", library: "timm" },
  { name: "convnextv2_tiny", library: "timm" },
];
const TOLERANCE = 1e-4; // relative to the largest logit: the float32 sums of two libraries' kernels differ

const { values } = parseArgs({ options: { python: { type: "string" } } });
/** @param {string} path */
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * @param {Tensor} a
 * @param {Tensor | undefined} b
 */
const farthest = (a, b) => {
  if (b === undefined) throw new Error("the other library did not write these logits");
  return tidy(() => a.sub(b).abs().max().item() / b.abs().max().item());
};

/**
 * Exchanges weights in both directions; returns the largest difference of a logit for each.
 *
 * @param {(typeof MODELS)[number]} network
 * @param {Places} places
 */
async function exchange({ name, library }, { folder, python }) {
  manualSeed(1);
  const model = createModel(name).eval();
  const images = randn([2, 3, 64, 64]);
  const logits = () => tidy(() => noGrad(() => model.forward(images)));
  /** @param {string} file */
  const path = (file) => join(folder, file);
  await saveSafetensors(path("images.safetensors"), new Map([["images", images]]));
  await saveSafetensors(path("ours.safetensors"), model.stateDict(), { format: "pt" });
  execFileSync(python, [here("weights-interop.py"), library, name, folder], { stdio: "inherit" });
  const read = await loadSafetensors(path("logits.safetensors"));
  const out = farthest(logits(), read.get("ours"));
  const { notes } = loadPretrained(model, await loadSafetensors(path("theirs.safetensors")));
  if (notes.length > 0)
    throw new Error(`${name}: the weights should have fitted without changes, but: ${notes.join("; ")}`);
  return { name, library, out, in: farthest(logits(), read.get("theirs")) };
}

/**
 * The largest difference of a logit from transformers' own, for each format of its weights.
 *
 * @param {Places} places
 */
async function fromTransformers({ folder, python }) {
  execFileSync(python, ["-B", here("transformers-interop.py"), folder], { stdio: ["ignore", "inherit", "ignore"] });
  const { images, ...expected } = Object.fromEntries(await loadSafetensors(join(folder, "transformers.safetensors")));
  if (images === undefined) throw new Error("transformers-interop.py wrote no images");
  const results = [];
  for (const [name, logits] of Object.entries(expected))
    for (const kept of [name, `${name}-parts`, `${name}-pytorch_model.bin`]) {
      const { weights } = await loadWeights(join(folder, kept));
      const described = describeWeights(weights);
      if (described.name !== name) throw new Error(`${kept} was recognised as ${described.name}`);
      const model = createModel(name, described.options).eval();
      loadPretrained(model, weights);
      const own = tidy(() => noGrad(() => model.forward(images)));
      results.push({ kept, apart: farthest(own, logits) });
    }
  return results;
}

const folder = mkdtempSync(join(tmpdir(), "batch-cam-weights-"));
try {
  const python = values.python ?? installPython("weights", join(folder, "venv"));
  for (const network of MODELS) {
    const result = await exchange(network, { folder, python });
    const shown = [result.out, result.in].map((value) => value.toExponential(1));
    console.log(`${result.name}: to ${result.library} ${shown[0]}, from it ${shown[1]} of the largest logit`);
    if (!(Math.max(result.out, result.in) < TOLERANCE)) process.exitCode = 1;
  }
  for (const { kept, apart } of await fromTransformers({ folder, python })) {
    console.log(`${kept}: from transformers ${apart.toExponential(1)} of the largest logit`);
    if (!(apart < TOLERANCE)) process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(process.exitCode === 1 ? `more than ${TOLERANCE} apart` : "the same weights give the same logits");
