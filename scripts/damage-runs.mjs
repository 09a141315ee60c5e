#!/usr/bin/env node
// Damages finished and interrupted runs at random and then uses them: `node scripts/damage-runs.mjs [--cases 1000] [--seed 0]`. Resuming,
// evaluating, explaining, reporting and overwriting must each give a result or a BatchCamError. A crash, a hang (30 s), any other error, or
// a changed file outside the run's folder is a fault. `--only CASE` repeats one case. It needs `npm run build`.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { mutate } from "./fuzz/mutate.mjs";
import { randomSource } from "./fuzz/random.mjs";
import { outcomeOf, runCases, watch } from "./fuzz/watched.mjs";

/**
 * @typedef {object} Place
 * @property {import("./fuzz/random.mjs").Random} random
 * @property {string} outside a folder that no command may change
 * @property {string} run
 */

async function main() {
  const { values } = parseArgs({
    options: {
      cases: { type: "string", default: "1000" },
      seed: { type: "string", default: "0" },
      only: { type: "string" },
    },
  });
  const folder = mkdtempSync(join(tmpdir(), "batch-cam-damage-"));
  try {
    await prepare(folder);
    const [first, last] = values.only ? [Number(values.only), Number(values.only)] : [0, Number(values.cases) - 1];
    const found = await watch(fileURLToPath(import.meta.url), {
      ...{ first, last, args: [folder, values.seed] },
      onProgress: (at, faults) => {
        if (at % 100 === 0) process.stderr.write(`case ${at} of ${last}, ${faults} faults\n`);
      },
    });
    for (const { case: at, fault } of found.faults.slice(0, 40)) console.log(`case ${at}: ${fault}\n`);
    const total = last - first + 1;
    console.log(`${total} damaged runs: ${found.fine} used, ${found.refused} refused, ${found.faults.length} faults`);
    process.exitCode = found.faults.length === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @type {import("../dist/config/index.js").TrainConfigInput} */
const SMALL = {
  ...{ model: "simple-cnn", dataset: "folder", imageSize: 16, imageChannels: 1, epochs: 2, batchSize: 4, valImages: 4 },
  ...{ threads: 1, checkpointEvery: 2, logEvery: 1, lambdaWarmup: 1, keepEpochs: 1, amp: "off" },
};

/**
 * Prepares a small data set, a finished run and an interrupted run.
 *
 * @param {string} folder
 */
async function prepare(folder) {
  const { default: sharp } = await import("sharp");
  for (const [label, name] of ["cat", "dog"].entries()) {
    mkdirSync(join(folder, "data", name), { recursive: true });
    for (let i = 0; i < 12; i++) {
      const pixels = Buffer.from(Array.from({ length: 256 }, (_, p) => (p * (label + 2) + i * 31) % 256));
      await sharp(pixels, { raw: { width: 16, height: 16, channels: 1 } })
        .png()
        .toFile(join(folder, "data", name, `${i}.png`));
    }
  }
  const { train } = await import("../dist/train.js");
  const own = { ...SMALL, dataDir: join(folder, "data"), output: join(folder, "runs") };
  await train({ ...own, experiment: "finished" });
  await train({ ...own, experiment: "stopped", maxSteps: 5, epochs: 3 });
}

/**
 * @param {string} folder
 * @param {number[]} numbers the seed, the first case and the last
 */
async function child(folder, [seed = 0, first = 0, last = 0]) {
  const { setNumThreads } = await import("../dist/tensor/index.js");
  setNumThreads(1);
  const uses = await usesOf(folder);
  await runCases(
    async (at) => {
      const random = randomSource(Math.imul(seed + 1, 0x9e3779b1) ^ at);
      const work = join(folder, `work-${process.pid}`);
      rmSync(work, { recursive: true, force: true });
      const outside = join(work, "outside");
      mkdirSync(outside, { recursive: true });
      writeFileSync(join(outside, "precious.safetensors"), "precious");
      const run = join(work, "runs", random.pick(["finished", "stopped"]));
      cpSync(join(folder, "runs", basename(run)), run, { recursive: true });
      const done = Array.from({ length: 1 + random.below(2) }, () => damage(run, { random, outside }));
      const [name, use] = random.pick(Object.entries(uses));
      const outcome = await outcomeOf(() => use(run));
      // A command may write through a link that the user made, but it must not change the file that the link names.
      const kept = readFileSync(join(outside, "precious.safetensors"), "utf8") === "precious";
      rmSync(work, { recursive: true, force: true });
      if (!kept) return `${name} after ${done.join(", ")}: a file outside the run was changed`;
      return outcome.startsWith("raw") ? `${name} after ${done.join(", ")}: ${outcome}` : outcome;
    },
    { first, last },
  );
}

/**
 * All commands and functions that a user may call on a run.
 *
 * @param {string} folder
 * @returns {Promise<Record<string, (run: string) => unknown>>}
 */
async function usesOf(folder) {
  const { train, evaluate } = await import("../dist/train.js");
  const { main: cli } = await import("../dist/cli/main.js");
  const { BatchCamError } = await import("../dist/errors.js");
  const text = { out: "" };
  const stream = {
    write(/** @type {string} */ part) {
      text.out += part;
    },
  };
  const io = { stdout: stream, stderr: stream, env: {}, signals: process, exit: () => {} };
  /** @param {...string} argv */
  const command = async (...argv) => {
    text.out = "";
    const code = await cli(argv, io);
    if (/unexpected|TypeError|RangeError| {4}at /.test(text.out)) throw new Error(text.out.slice(0, 400));
    if (code !== 0) throw new BatchCamError("E_DATA", text.out);
  };
  /** @param {string} run */
  const place = (run) => ({ output: dirname(run), experiment: basename(run) });
  return {
    resume: (run) => train({ ...place(run), resume: true, maxSteps: 8 }),
    overwrite: (run) => train({ ...SMALL, ...place(run), dataDir: join(folder, "data"), overwrite: true, maxSteps: 1 }),
    evaluate: (run) => evaluate(run),
    "evaluate on the command line": (run) => command("evaluate", run, "--limit", "2"),
    explain: (run) =>
      command("explain", join(folder, "data", "cat", "0.png"), "--run", run, "--output", join(run, "..", "explained")),
    report: (run) => command("report", run),
    "resume on the command line": (run) => command("train", "--resume", run, "--max-steps", "6", "--no-figures"),
  };
}

/**
 * Damages a run's folder in one way, and returns a description of it.
 *
 * @param {string} run
 * @param {Pick<Place, "random" | "outside">} place
 */
function damage(run, { random, outside }) {
  const files = readdirSync(run, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile() && !entry.isSymbolicLink(),
  );
  const paths = files.map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  if (paths.length === 0) return "nothing left";
  const path = random.pick(paths);
  const [kind, apply] = random.pick(Object.entries(DAMAGES));
  apply(path, { random, outside, run });
  return `${kind} ${path.slice(run.length + 1)}`;
}

/** @type {Record<string, (path: string, place: Place) => void>} */
const DAMAGES = {
  mutate: (path, { random }) => writeFileSync(path, mutate(readFileSync(path), random)),
  cut: (path, { random }) => writeFileSync(path, readFileSync(path).subarray(0, random.below(200))),
  empty: (path) => writeFileSync(path, ""),
  remove: (path) => rmSync(path),
  "folder in place of": (path) => {
    rmSync(path);
    mkdirSync(path);
  },
  "pipe in place of": (path) => {
    rmSync(path);
    execFileSync("mkfifo", [path]);
  },
  "dangling link in place of": (path) => {
    rmSync(path);
    symlinkSync(join(dirname(path), "nowhere"), path);
  },
  "link out in place of": (path, { outside }) => {
    rmSync(path);
    symlinkSync(join(outside, "precious.safetensors"), path);
  },
  "link out in place of the folder of": (path, { outside, run }) => {
    if (dirname(path) === run) return;
    rmSync(dirname(path), { recursive: true });
    symlinkSync(outside, dirname(path));
  },
  "JSON of another kind in": (path, { random }) =>
    writeFileSync(path, random.pick(["null", "[]", "{}", "1", '"x"', '{"state":null}'])),
  "lock beside": (_path, { random, run }) =>
    writeFileSync(join(run, "run.lock"), random.pick(["", "{", '{"host":"x"}', "null"])),
};

if (process.argv[2] === "--child") await child(process.argv[3] ?? "", process.argv.slice(4).map(Number));
else await main();
