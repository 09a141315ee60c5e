// Measures explanations per second, relative to pytorch-grad-cam and torch-cam: an untrained ResNet-18 with the small stem, but with
// running statistics of MNIST, on MNIST's test images. The libraries alternate round by round, with the same weights and the same number of
// threads.
//   node bench/explain.mjs --python <interpreter> | --venv <folder> [--images 1000] [--probed 4] [--rounds 5] [--threads 2]
//   [--layer layer4.1] [--batches 1,8,32,64,128,256] [--chunks 16,32,64,128] [--methods gradcam,scorecam,ablationcam] [--size 28] [--json]
// With --size 224 the network has the ImageNet stem and three channels, and the images are noise.
// A first sweep finds the fastest batch size and then the fastest memory layout (channels last or first) for each library. ScoreCAM and
// AblationCAM need a forward pass for each channel, so they run on `probed` images, and their sweep (of the batch size of those passes) on
// one.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { explain } from "batch-cam/cam";
import { gatherBatch, loadDataset } from "batch-cam/data";
import { createModel } from "batch-cam/models";
import {
  autocast,
  capabilities,
  loadSafetensors,
  manualSeed,
  noGrad,
  randn,
  saveSafetensors,
  setNumThreads,
  tensor,
  tidy,
} from "batch-cam/tensor";
import { installPython } from "../scripts/python-environment.mjs";
import { median } from "./statistics.mjs";

/** @import { Tensor } from "batch-cam/tensor" */
/** @typedef {"gradcam" | "scorecam" | "ablationcam"} What */
/** @typedef {{ name: "GradCAM" | "ScoreCAM" | "AblationCAM", sizes: number[], count: number, swept: (batch: number) => number }} Method */
/** @typedef {Awaited<ReturnType<typeof makeNetwork>>} Network */
/** @typedef {{ count: number, batch: number, fast?: boolean, last?: boolean }} Asked */
/** @typedef {(asked: Asked) => number | Promise<number>} Run gives seconds */
/** @typedef {{ ours: ReturnType<typeof explainer>, peer: Awaited<ReturnType<typeof startPeer>> }} Parties */
/** @typedef {{ cpu: string, threads: number, load: [before: number, after: number], torch: string }} Machine */

const { values } = parseArgs({
  options: {
    python: { type: "string" },
    venv: { type: "string" },
    images: { type: "string", default: "1000" },
    probed: { type: "string", default: "4" },
    rounds: { type: "string", default: "5" },
    threads: { type: "string", default: "2" },
    layer: { type: "string", default: "layer4.1" },
    batches: { type: "string", default: "1,8,32,64,128,256" },
    chunks: { type: "string", default: "16,32,64,128" },
    methods: { type: "string", default: "gradcam,scorecam,ablationcam" },
    size: { type: "string", default: "28" },
    json: { type: "boolean", default: false },
  },
});
const { layer } = values;
const size = Number(values.size);
const [images, probed] = [Number(values.images), Number(values.probed)];
const [rounds, threads] = [Number(values.rounds), Number(values.threads)];
/** @param {string} text */
const list = (text) => text.split(",").map(Number);

const AGREEING = 16; // the number of images on which the maps are compared
const SWEPT = 64; // the least number of images of a measurement that finds the best batch size
/** @type {Record<What, Method>} */
const METHODS = {
  gradcam: { name: "GradCAM", sizes: list(values.batches), count: images, swept: (batch) => Math.max(SWEPT, batch) },
  scorecam: { name: "ScoreCAM", sizes: list(values.chunks), count: probed, swept: () => 1 },
  ablationcam: { name: "AblationCAM", sizes: list(values.chunks), count: probed, swept: () => 1 },
};

/**
 * @param {number} from
 * @param {number} to
 */
const indices = (from, to) => Int32Array.from({ length: to - from }, (_, i) => from + i);

/** MNIST's images: `batch(i)` for the running statistics, and those to explain. */
async function digits() {
  const { train, test } = await loadDataset("mnist");
  const batch = (/** @type {number} */ i) => gatherBatch(train, indices(64 * i, 64 * (i + 1))).images;
  return { batch, data: gatherBatch(test, indices(0, WANTED)) };
}

/** The same of noise, in three channels. */
function noise() {
  const labels = tensor(Int32Array.from(indices(0, WANTED), (i) => i % 10)).to("int64");
  return { batch: () => randn([16, 3, size, size]), data: { images: randn([WANTED, 3, size, size]), labels } };
}

const WANTED = Math.max(images, probed, AGREEING, SWEPT, ...list(values.batches));

/**
 * Makes the network, with running statistics, and the images to explain.
 *
 * @param {string} folder
 */
async function makeNetwork(folder) {
  manualSeed(0);
  const small = size === 28;
  const { batch, data } = small ? await digits() : noise();
  const stem = small ? "small" : "imagenet";
  const model = createModel("resnet18", { stem, numClasses: 10, inChannels: small ? 1 : 3 });
  for (let i = 0; i < 10; i++) tidy(() => noGrad(() => void model.forward(batch(i))));
  model.eval();
  const paths = { weights: join(folder, "weights.safetensors"), images: join(folder, "images.safetensors") };
  await saveSafetensors(paths.weights, model.stateDict(), { format: "pt" });
  await saveSafetensors(paths.images, new Map(Object.entries(data)));
  return { model, data, paths };
}

/**
 * Makes the function that runs this project: it computes maps of `count` images in batches, or with passes of `batch` for methods that
 * probe the network.
 *
 * @param {Pick<Network, "model" | "data">} network
 * @returns {(asked: Asked & { what: What }, onMaps?: (maps: Tensor) => void) => number}
 */
function explainer({ model, data }) {
  // With one channel, both memory formats have the same bytes; only the strides tell them apart.
  /** @param {Tensor} x */
  const channelsLast = (x) =>
    x.shape[1] === 1
      ? x.reshape([x.shape[0] ?? 0, ...x.shape.slice(2), 1]).permute([0, 3, 1, 2])
      : x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
  return ({ what, count, batch, fast = false, last = false }, onMaps = () => {}) => {
    const method = METHODS[what].name;
    const step = what === "gradcam" ? batch : count;
    const options = { method, layer, ...(what === "gradcam" ? {} : { chunkSize: batch }) };
    const began = performance.now();
    for (let from = 0; from < count; from += step) {
      tidy(() => {
        const part = (/** @type {Tensor} */ t) => t.narrow(0, from, Math.min(step, count - from));
        const [x, targets] = [part(data.images), part(data.labels)];
        const pixels = last ? channelsLast(x) : x;
        const run = () => explain(model, pixels, { ...options, targets }).maps;
        onMaps(fast ? autocast({ dtype: "bfloat16" }, run) : run());
      });
    }
    return (performance.now() - began) / 1000;
  };
}

/**
 * Starts the Python process, which answers each request when it has finished it.
 *
 * @param {string} python
 * @param {Network["paths"]} paths
 */
async function startPeer(python, paths) {
  const script = fileURLToPath(new URL("peers/explain.py", import.meta.url));
  const args = ["-B", "-W", "ignore", script, paths.weights, paths.images, "--threads", String(threads)];
  const child = spawn(python, args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${python} ended: does it have scripts/requirements/explain.txt?`);
    return JSON.parse(value);
  };
  const { torch } = await answer();
  return {
    torch,
    ask: async (/** @type {Asked & { what: string, maps?: string }} */ asked) => {
      const { what, count, batch, fast = false, last = false, maps } = asked;
      const request = { what, images: count, batch, layer, amp: fast, channelsLast: last, maps };
      child.stdin.write(`${JSON.stringify(request)}\n`);
      return (await answer()).seconds;
    },
    stop: () => child.kill(),
  };
}

/**
 * The libraries that have a method, each as a function of { count, batch } that returns seconds.
 *
 * @param {What} what
 * @param {Parties} parties
 * @returns {Record<string, Run>}
 */
function sidesOf(what, { ours, peer }) {
  const fast = capabilities().fastBfloat16;
  /** @type {<More extends object>(run: (asked: Asked & More) => number | Promise<number>, asked: More & Partial<Asked>) => Run} */
  const side = (run, asked) => (request) => run({ ...asked, ...request });
  return {
    "batch-cam float32": side(ours, { what }),
    ...(fast && { "batch-cam bfloat16": side(ours, { what, fast }) }),
    "pytorch-grad-cam": side(peer.ask, { what }),
    ...(what !== "ablationcam" && { "torch-cam": side(peer.ask, { what: `torchcam-${what}` }) }),
    ...(what !== "ablationcam" && fast && { "torch-cam bfloat16": side(peer.ask, { what: `torchcam-${what}`, fast }) }),
  };
}

/** @param {number} number */
const rounded = (number) => Number(number.toPrecision(3));

/**
 * Measures one side's images per second at each size in channels-last layout, and finds the best size and layout.
 *
 * @param {Run} run
 * @param {Pick<Method, "sizes" | "swept">} plan
 */
async function sweep(run, { sizes, swept }) {
  /**
   * @param {number} batch
   * @param {boolean} last
   */
  const speedAt = async (batch, last) => swept(batch) / (await run({ count: swept(batch), batch, last }));
  await speedAt(sizes[0] ?? 1, true); // warm-up
  /** @type {Record<number, number>} */
  const speeds = {};
  for (const batch of sizes) speeds[batch] = await speedAt(batch, true);
  const batch = sizes.reduce((best, size) => ((speeds[size] ?? 0) > (speeds[best] ?? 0) ? size : best));
  const layouts = [];
  for (const last of [true, false, true, false]) layouts.push({ last, speed: await speedAt(batch, last) });
  const { last } = layouts.reduce((best, layout) => (layout.speed > best.speed ? layout : best));
  return { speeds, best: { batch, last } };
}

/**
 * @param {What} what
 * @param {Parties} parties
 */
async function measure(what, parties) {
  const { name, count, ...plan } = METHODS[what];
  const sides = sidesOf(what, parties);
  /** @type {{ side: string, run: Run, swept: Awaited<ReturnType<typeof sweep>>, own: number[] }[]} */
  const taken = [];
  for (const [side, run] of Object.entries(sides)) taken.push({ side, run, swept: await sweep(run, plan), own: [] });
  for (let round = 0; round < rounds; round++) {
    for (const { run, swept, own } of taken) own.push(await run({ count, ...swept.best }));
  }
  const first = taken[0]?.own ?? [];
  return taken.map(({ side, swept, own }) => ({
    method: name,
    side,
    batch: swept.best.batch,
    channels: swept.best.last ? "last" : "first",
    "images/s": rounded(count / median(own)),
    // The ratio of two measurements next to each other, so that a slow moment of the machine affects both.
    "times the time of ours": rounded(median(own.map((time, i) => time / (first[i] ?? Number.NaN)))),
    sweep: Object.fromEntries(Object.entries(swept.speeds).map(([batch, speed]) => [batch, rounded(speed)])),
  }));
}

/**
 * The largest difference of our maps and pytorch-grad-cam's, both in [0, 1] and float32.
 *
 * @param {What} what
 * @param {Parties} parties
 * @param {string} folder
 */
async function farthest(what, { ours, peer }, folder) {
  const count = what === "gradcam" ? AGREEING : Math.min(probed, AGREEING);
  const maps = join(folder, "maps.safetensors");
  const request = { what, count, batch: what === "gradcam" ? count : 32 };
  await peer.ask({ ...request, maps });
  const theirs = (await loadSafetensors(maps)).get("maps");
  if (theirs === undefined) throw new Error("the peer wrote no maps");
  let difference = 0;
  ours(request, (found) => {
    difference = found.sub(theirs).abs().max().item();
  });
  return { method: METHODS[what].name, images: count, "largest difference": difference.toExponential(1) };
}

setNumThreads(threads);
const load = loadavg()[0] ?? 0;
const folder = mkdtempSync(join(tmpdir(), "batch-cam-explain-bench-"));
/** @type {Parties["peer"] | undefined} */
let peer;
try {
  const python = values.python ?? installPython("explain", values.venv ?? join(folder, "venv"), { complete: true });
  const network = await makeNetwork(folder);
  peer = await startPeer(python, network.paths);
  const parties = { ours: explainer(network), peer };
  const chosen = /** @type {What[]} */ (values.methods.split(","));
  const agreement = [];
  for (const what of chosen) agreement.push(await farthest(what, parties, folder));
  const results = [];
  for (const what of chosen) results.push(...(await measure(what, parties)));
  /** @type {Machine} */
  const machine = { cpu: cpus()[0]?.model ?? "unknown", threads, load: [load, loadavg()[0] ?? 0], torch: peer.torch };
  if (values.json) console.log(JSON.stringify({ machine, layer, rounds, agreement, results }, null, 2));
  else report({ machine, agreement, results });
} finally {
  peer?.stop();
  rmSync(folder, { recursive: true, force: true });
}

/**
 * @param {{ machine: Machine, agreement: Awaited<ReturnType<typeof farthest>>[], results: Awaited<ReturnType<typeof measure>> }} found
 */
function report({ machine, agreement, results }) {
  console.log(
    `${machine.cpu}, ${threads} threads, libtorch ${capabilities().version}, Python's torch ${machine.torch}`,
  );
  console.log(`load average ${machine.load[0].toFixed(2)} before, ${machine.load[1].toFixed(2)} after`);
  if (load > 0.5) console.log("WARNING: other programs used the machine, so the ratios are not reliable");
  console.log(`ResNet-18, ${layer}, medians of ${rounds} rounds; GradCAM on ${images} images, the others on ${probed}`);
  console.table(results.map(({ sweep: _, ...row }) => row));
  for (const { method, side, sweep: speeds } of results) {
    const shown = Object.entries(speeds).map(([batch, speed]) => `${batch}: ${speed}`);
    console.log(`${method}, ${side}, images/s by batch size: ${shown.join(", ")}`);
  }
  console.log("maps in [0, 1] against pytorch-grad-cam's, float32:");
  console.table(agreement);
}
