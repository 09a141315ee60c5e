#!/usr/bin/env node
// Passes damaged files to every reader of the package: `node scripts/fuzz-readers.mjs [--cases 100000] [--seed 0]`. A reader must give a
// result or a BatchCamError. A crash, a hang (30 s), any other error, or memory that grows by 3 GiB is a fault. A case depends only on
// (seed, case), so `--only CASE` repeats one, and `--kind NAME` ("model.pt2") tries one reader alone. It needs `npm run build`.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { mutate } from "./fuzz/mutate.mjs";
import { mutateProgram } from "./fuzz/program.mjs";
import { randomSource } from "./fuzz/random.mjs";
import { readerSeeds } from "./fuzz/reader-seeds.mjs";
import { outcomeOf, runCases, watch } from "./fuzz/watched.mjs";

// An image of 100 million pixels, the largest that is accepted, takes 2 GiB while it is decoded.
const MOST_BYTES = 3 * 2 ** 30;
if (process.argv[2] === "--child") await child(process.argv.slice(3));
else await main();

async function main() {
  const { values } = parseArgs({
    options: {
      cases: { type: "string", default: "100000" },
      seed: { type: "string", default: "0" },
      only: { type: "string" },
      kind: { type: "string", default: "" },
    },
  });
  const [first, last] = values.only ? [Number(values.only), Number(values.only)] : [0, Number(values.cases) - 1];
  const start = Date.now();
  const found = await watch(fileURLToPath(import.meta.url), {
    ...{ first, last, args: [values.seed ?? "0", values.kind ?? ""] },
    onProgress: (at, faults) => {
      if (at % 5000 === 0)
        process.stderr.write(`case ${at} of ${last}, ${faults} faults, ${Math.round((Date.now() - start) / 1000)} s\n`);
    },
  });
  for (const { case: at, fault } of found.faults.slice(0, 40)) console.log(`case ${at}: ${fault}\n`);
  const total = last - first + 1;
  console.log(`${total} damaged files: ${found.fine} read, ${found.refused} refused, ${found.faults.length} faults`);
  process.exitCode = found.faults.length === 0 ? 0 : 1;
}

/** @param {string[]} args the seed, the kind of file or "" for all, the first case and the last */
async function child([seedText, kind, ...range]) {
  const [seed = 0, first = 0, last = 0] = [seedText, ...range].map(Number);
  const folder = mkdtempSync(join(tmpdir(), "batch-cam-fuzz-"));
  process.env.BATCH_CAM_CACHE = join(folder, "cache");
  const engine = await import("../dist/tensor.js");
  const seeds = await readerSeeds({ ...engine, file: join(folder, "seed.safetensors") });
  const readers = await readersOf(engine);
  const kinds = Object.entries(readers).filter(([name]) => kind === "" || name === kind);
  engine.setNumThreads(1);
  try {
    await runCases(
      async (at) => {
        const random = randomSource(Math.imul(seed + 1, 0x9e3779b1) ^ at);
        const [name, reader] = /** @type {(typeof kinds)[number]} */ (kinds[at % kinds.length]);
        const place = join(folder, `case-${at % 64}`);
        mkdirSync(place, { recursive: true });
        const path = join(place, name);
        const source = random.below(20) === 0 ? random.pick(Object.values(seeds)) : (seeds[name] ?? []);
        const damage = name === "model.pt2" && source === seeds[name] ? mutateProgram : mutate;
        writeFileSync(path, damage(random.pick(source), random));
        const before = process.memoryUsage.rss();
        const outcome = await outcomeOf(() => reader(path, place));
        rmSync(place, { recursive: true, force: true });
        const grown = process.memoryUsage.rss() - before;
        const detail = outcome.startsWith("raw") || grown > MOST_BYTES ? `${name}: ` : "";
        return grown > MOST_BYTES ? `${detail}memory grew by ${Math.round(grown / 2 ** 20)} MiB` : detail + outcome;
      },
      { first, last },
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * The reader of each kind of file. Each frees the tensors that it reads.
 *
 * @param {typeof import("../dist/tensor.js")} engine
 * @returns {Promise<Record<string, (path: string, folder: string) => unknown>>}
 */
async function readersOf(engine) {
  const data = await import("../dist/data/index.js");
  const { loadExportedModel, loadWeights } = await import("../dist/models/index.js");
  const { readConfigFile } = await import("../dist/cli/config-file.js");
  const { parseTrainConfig } = await import("../dist/config/index.js");
  /** @param {string} path */
  const image = async (path) => void (await data.readImage(path, { channels: 3, size: [8, 8] }));
  /**
   * @param {"npz" | "csv" | "mnist"} kind
   * @returns {(path: string) => Promise<void>}
   */
  const set = (kind) => async (path) => {
    const dataset = await data.loadDataset(kind, { dataDir: path, ...(kind === "npz" ? {} : { imageSize: 8 }) });
    data.disposeDataset(dataset);
  };
  /** @param {string} path */
  const config = async (path) => void parseTrainConfig(await readConfigFile(path));
  /** @param {ReadonlyMap<string, { dispose(): void }>} tensors */
  const free = (tensors) => {
    for (const tensor of tensors.values()) tensor.dispose();
  };
  return {
    "image.png": image,
    "image.jpg": image,
    "image.webp": image,
    "image.gif": image,
    "image.tif": image,
    "image.bmp": image,
    "image.heic": image,
    "weights.safetensors": async (path) => {
      await engine.readSafetensorsMetadata(path);
      free(await engine.loadSafetensors(path));
    },
    "weights.pth": async (path) => {
      const { weights } = await loadWeights(path);
      free(weights);
    },
    "model.pt2": async (path) => (await loadExportedModel(path)).dispose(),
    "set.npz": set("npz"),
    "set.csv": set("csv"),
    "train-images-idx3-ubyte": async (path) => void (await data.readIdx(path)),
    "train-images-idx3-ubyte.gz": async (_, folder) => set("mnist")(folder),
    "options.yaml": config,
    "config.json": config,
  };
}
