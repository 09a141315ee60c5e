// Measures how fast a folder of JPEG images is loaded: the first loading relative to sharp's own throughput, the second loading from the
// cache, and the part of a training step that loading takes.
//   node bench/data.mjs [--images 20000] [--side 128] [--size 64] [--json]
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { disposeDataset, listImages, loadDataset } from "batch-cam/data";
import { train } from "batch-cam/train";
import sharp from "sharp";

const { values } = parseArgs({
  options: {
    images: { type: "string", default: "20000" },
    side: { type: "string", default: "128" },
    size: { type: "string", default: "64" },
    json: { type: "boolean", default: false },
  },
});
const [count, side, size] = [Number(values.images), Number(values.side), Number(values.size)];
const CLASSES = 10;

const folder = await mkdtemp(join(tmpdir(), "batch-cam-jpeg-"));
process.env.BATCH_CAM_CACHE = join(folder, "cache");

/**
 * Runs a job for each of `count` numbers. As many run at the same time as the machine has cores, plus two.
 *
 * @param {number} jobs
 * @param {(index: number) => Promise<unknown>} job
 */
async function inParallel(jobs, job) {
  let next = 0;
  const worker = async () => {
    while (next < jobs) await job(next++);
  };
  await Promise.all(Array.from({ length: availableParallelism() + 2 }, worker));
}

/** @param {number} index */
async function draw(index) {
  /** @type {import("sharp").Noise} */
  const noise = { type: "gaussian", mean: 90 + (index % CLASSES) * 10, sigma: 25 };
  await sharp({ create: { width: side, height: side, channels: 3, background: "black", noise } })
    .blur(2)
    .jpeg({ quality: 90 })
    .toFile(join(folder, "set", String(index % CLASSES), `${index}.jpg`));
}

/** @param {() => Promise<unknown>} fn */
async function timed(fn) {
  const began = performance.now();
  const result = await fn();
  return { result, seconds: (performance.now() - began) / 1000 };
}

try {
  for (let label = 0; label < CLASSES; label++) await mkdir(join(folder, "set", String(label)), { recursive: true });
  sharp.concurrency(1);
  sharp.cache(false);
  await inParallel(count, draw);
  const paths = await listImages(join(folder, "set"));
  /** @type {import("sharp").ResizeOptions} */
  const resize = { width: size, height: size, fit: "cover", kernel: "linear", fastShrinkOnLoad: false };
  const own = await timed(() =>
    inParallel(count, async (i) =>
      sharp(await readFile(paths[i] ?? ""))
        .resize(resize)
        .toColourspace("srgb")
        .raw()
        .toBuffer(),
    ),
  );
  const load = async () =>
    disposeDataset(await loadDataset("folder", { dataDir: join(folder, "set"), imageSize: size }));
  const first = await timed(load);
  const second = await timed(load);
  /** @type {import("batch-cam/config").TrainConfigInput} */
  const config = {
    dataset: "folder",
    dataDir: join(folder, "set"),
    imageSize: size,
    output: join(folder, "runs"),
    figures: false,
  };
  const augmented = { augFlip: true, augShift: 0.1, augRotate: 10 };
  /** @type {Record<string, number>} */
  const shares = {};
  for (const [name, extra] of Object.entries({ plain: {}, augmented })) {
    /** @type {import("batch-cam/config").TrainConfigInput} */
    const run = { ...config, ...extra, experiment: name, profile: true, maxSteps: 20, valImages: 200, limitTest: 200 };
    /** @type {{ name: string, milliseconds: number }[]} */
    const phases = [];
    await train(run, { onEvent: (event) => void (event.type === "profile" && phases.push(...event.report.phases)) });
    const total = phases.reduce((sum, phase) => sum + phase.milliseconds, 0);
    shares[name] = (phases.find((phase) => phase.name === "data")?.milliseconds ?? Number.NaN) / total;
  }
  /** @param {{ seconds: number }} timing */
  const rate = ({ seconds }) => count / seconds;
  const found = {
    ...{ images: count, side, size, cores: availableParallelism() },
    ...{ sharpPerSecond: rate(own), firstPerSecond: rate(first), cachedPerSecond: rate(second) },
    ...{ firstOverSharp: rate(first) / rate(own), dataShareOfStep: shares },
  };
  if (values.json) console.log(JSON.stringify(found));
  else {
    console.log(`${count} JPEG images of ${side}x${side} to ${size}x${size}, ${found.cores} cores`);
    console.log(
      `sharp alone ${rate(own).toFixed(0)} images/s; first loading ${rate(first).toFixed(0)}, ${found.firstOverSharp.toFixed(2)} of it`,
    );
    console.log(`from the cache ${rate(second).toFixed(0)} images/s`);
    for (const [name, share] of Object.entries(shares))
      console.log(`data takes ${(share * 100).toFixed(1)} % of a step, ${name}`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
