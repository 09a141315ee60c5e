// Compares a ResNet-18 imported from a .pt2 file with this package's own `resnet18`, which gets the same weights: training steps with and
// without guidance, inference, and an `explain` of 64 images. Both take turns, and the ratios are of the medians.
//   node bench/exported.mjs [--venv DIR] [--file resnet18.pt2] [--rounds 15] [--threads 1]
// --file is a ResNet-18 of torchvision exported for 64x64 images and 10 classes; without it, the virtual environment exports one.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { batchCam, explain } from "batch-cam/cam";
import { crossEntropy, prototypeLoss } from "batch-cam/losses";
import { createModel, loadExportedModel } from "batch-cam/models";
import { AdamW } from "batch-cam/optim";
import { backward, manualSeed, noGrad, rand, randn, setNumThreads, tensor, tidy } from "batch-cam/tensor";
import { installPython } from "../scripts/python-environment.mjs";
import { markdownTable } from "../scripts/test-matrix/table.mjs";
import { inferenceRows } from "./exported-inference.mjs";
import { describeMachine } from "./machine.mjs";

/** @import { Model } from "batch-cam/models" */

const BATCH = 32;
const CLASSES = 10;
const SIDE = 64;
const LAYER = "layer2"; // its maps are 8x8

const { values } = parseArgs({
  options: {
    venv: { type: "string" },
    file: { type: "string" },
    rounds: { type: "string", default: "15" },
    threads: { type: "string", default: "1" },
    folder: { type: "string" },
    batch: { type: "string", default: "8" },
    networks: { type: "string", default: "vit_small_patch16_224,resnet50,convnext_tiny" },
    only: { type: "string" },
    clock: { type: "string", default: "wall" },
  },
});

/** @param {string} folder */
const pythonIn = (folder) => installPython("zoo", values.venv ?? join(folder, "venv"));

/** @param {string} folder */
function exported(folder) {
  const name = "torchvision-resnet18";
  const program = fileURLToPath(new URL("../scripts/zoo/zoo.py", import.meta.url));
  execFileSync(pythonIn(folder), ["-B", "-W", "ignore", program, "export", folder, name], { stdio: "ignore" });
  return join(folder, `${name}.pt2`);
}

const images = randn([BATCH, 3, SIDE, SIDE]);
const many = randn([64, 3, SIDE, SIDE]);
const labels = tensor(
  Array.from({ length: BATCH }, (_, i) => i % CLASSES),
  { dtype: "int64" },
);
const prototypes = rand([CLASSES, SIDE, SIDE]);

/**
 * The work that is timed, for one model.
 *
 * @param {Model} model
 * @returns {Record<string, () => void>}
 */
function workOf(model) {
  const optimizer = new AdamW(model.namedParameters(), { lr: 1e-4 });
  /** @param {boolean} guided */
  const step = (guided) => () =>
    tidy(() => {
      model.train();
      const { logits, taps } = model.forwardWith(images, { taps: [LAYER] });
      const crossEntropyTerm = crossEntropy(logits, labels);
      const loss = guided ? crossEntropyTerm.add(guidance(logits, taps[LAYER])) : crossEntropyTerm;
      optimizer.zeroGrad();
      backward(loss);
      optimizer.step();
    });
  return {
    "training step": step(false),
    "guided training step": step(true),
    inference: () => tidy(() => noGrad(() => void model.eval().forward(images))),
    "explain of 64 images": () => {
      const { maps, logits } = explain(model.eval(), many, { method: "GradCAM", layer: LAYER });
      maps.dispose();
      logits.dispose();
    },
  };
}

/**
 * @param {import("batch-cam/tensor").Tensor} logits
 * @param {import("batch-cam/tensor").Tensor | undefined} tap
 */
function guidance(logits, tap) {
  if (tap === undefined) throw new Error(`${LAYER} was not tapped`);
  const maps = batchCam(logits, tap, labels, { upsample: [SIDE, SIDE], normalize: { eps: 1e-2 } });
  return prototypeLoss(maps, labels, prototypes, { distance: "ssim" });
}

/** @param {number[]} times */
const median = (times) => times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN;

/**
 * Milliseconds of each in turns, after one round that is not counted.
 *
 * @param {readonly (() => void)[]} works
 * @param {number} rounds
 */
function inTurns(works, rounds) {
  /** @type {number[][]} */
  const times = works.map(() => []);
  for (let round = 0; round <= rounds; round++)
    for (const [i, work] of works.entries()) {
      const start = performance.now();
      work();
      if (round > 0) times[i]?.push(performance.now() - start);
    }
  return times.map(median);
}

/** @param {string} folder */
async function compareWithOwn(folder) {
  setNumThreads(Number(values.threads));
  manualSeed(0);
  const imported = await loadExportedModel(values.file ?? exported(folder));
  const own = createModel("resnet18", { numClasses: CLASSES, inChannels: 3 });
  own.loadStateDict(imported.stateDict());
  const [theirs, ours] = [workOf(imported), workOf(own)];
  const rows = Object.keys(ours).map((name) => {
    const [a = 0, b = 0] = inTurns(
      [theirs[name], ours[name]].map((work) => work ?? (() => {})),
      Number(values.rounds),
    );
    return [name, a.toFixed(1), b.toFixed(1), (a / b).toFixed(3)];
  });
  console.log(`batches of ${BATCH}x3x${SIDE}x${SIDE} in float32, medians of ${values.rounds} rounds\n`);
  console.log(markdownTable(["work", "imported, ms", "own, ms", "ratio"], rows));
}

/** @param {string} folder */
async function compareWithPyTorch(folder) {
  const { threads, networks, batch, rounds, clock } = values;
  const rows = await inferenceRows(pythonIn(folder), {
    ...{ networks: networks.split(","), folder: values.folder ?? folder },
    ...{ threads, clock, rounds: Number(rounds), batch: Number(batch) },
  });
  console.log(`\ninference of ${batch} images of 224x224 in float32, the least of ${rounds} rounds (${clock} time)\n`);
  const head = ["network", "imported, ms", "PyTorch, ms", "PyTorch channels last, ms", "ratio to the faster"];
  console.log(markdownTable(head, rows));
}

async function main() {
  const folder = mkdtempSync(join(tmpdir(), "batch-cam-bench-"));
  try {
    const { cpu, cores, flags, platform } = describeMachine();
    console.log(`${cpu}, ${cores} cores (${flags.join(" ")}), ${platform}; ${values.threads} threads`);
    if (values.only !== "inference") await compareWithOwn(folder);
    if (values.only !== "training") await compareWithPyTorch(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
