// Runs imported networks for bench/exported.mjs in a separate process. Like peers/exported.py, it answers each line of JSON,
// { name, folder, batch, count, clock }, with one line: the seconds of each forward pass.
import { join } from "node:path";
import { createInterface } from "node:readline";
import { loadExportedModel } from "batch-cam/models";
import { capabilities, loadSafetensors, noGrad, randn, setNumThreads, tidy } from "batch-cam/tensor";

/** @import { ExportedModel } from "batch-cam/models" */
/** @import { Tensor } from "batch-cam/tensor" */

const SIDE = 224;
const AGREES = 1e-4; // the largest relative difference from PyTorch's logits

/** @type {{ name: string, model: ExportedModel } | null} */
let loaded = null;

/** @param {{ name: string, folder: string }} asked */
async function modelOf({ name, folder }) {
  if (loaded?.name === name) return loaded.model;
  loaded?.model.dispose();
  const model = await loadExportedModel(join(folder, `${name}.pt2`));
  loaded = { name, model };
  await expectEqualLogits(model, join(folder, `${name}.safetensors`));
  return model;
}

/**
 * @param {ExportedModel} model
 * @param {string} path
 */
async function expectEqualLogits(model, path) {
  const stored = await loadSafetensors(path);
  const difference = tidy(() => {
    const [images, logits] = ["images", "logits"].map((key) => /** @type {Tensor} */ (stored.get(key)));
    if (images === undefined || logits === undefined) throw new Error(`${path} is incomplete`);
    const own = noGrad(() => model.forward(images));
    return own.sub(logits).abs().max().item() / logits.abs().max().item();
  });
  for (const tensor of stored.values()) tensor.dispose();
  if (!(difference <= AGREES)) throw new Error(`${path}: the logits differ by ${difference}`);
}

setNumThreads(Number(process.argv[2]));
console.log(JSON.stringify({ libtorch: capabilities().version }));
/** Milliseconds, of the wall or of the processor. */
const CLOCKS = {
  wall: () => performance.now(),
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { batch, count, clock, ...asked } = JSON.parse(line);
  const now = CLOCKS[/** @type {keyof typeof CLOCKS} */ (clock)];
  const model = await modelOf(asked);
  const seconds = tidy(() => {
    const images = randn([batch, 3, SIDE, SIDE]);
    return Array.from({ length: count }, () => {
      const start = now();
      tidy(() => noGrad(() => void model.forward(images)));
      return (now() - start) / 1000;
    });
  });
  console.log(JSON.stringify({ seconds }));
}
