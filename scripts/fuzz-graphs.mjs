#!/usr/bin/env node
// Runs programs of torch.export whose graphs are damaged but readable: `node scripts/fuzz-graphs.mjs [--cases 5000] [--seed 0]`. Each is
// loaded, run forward and backward in both modes, and explained. The outcome must be a result or a BatchCamError. A crash, a hang (30 s),
// any other error, or memory of more than 6 GiB is a fault. A case depends only on (seed, case), so `--only CASE` repeats one, and
// `--keep FILE` writes its program. It needs `npm run build`.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { mutateGraph } from "./fuzz/graph.mjs";
import { randomSource } from "./fuzz/random.mjs";
import { runProgramOnce } from "./fuzz/run-program.mjs";
import { outcomeOf, runCases, watch } from "./fuzz/watched.mjs";

const MOST_BYTES = 6 * 2 ** 30;
const FIXTURES = fileURLToPath(new URL("../test/fixtures/exported", import.meta.url));
if (process.argv[2] === "--child") await child(process.argv.slice(3));
else await main();

async function main() {
  const { values } = parseArgs({
    options: {
      cases: { type: "string", default: "5000" },
      seed: { type: "string", default: "0" },
      only: { type: "string" },
      keep: { type: "string", default: "" },
    },
  });
  const [first, last] = values.only ? [Number(values.only), Number(values.only)] : [0, Number(values.cases) - 1];
  const start = Date.now();
  const found = await watch(fileURLToPath(import.meta.url), {
    ...{ first, last, mostBytes: MOST_BYTES, args: [values.seed ?? "0", values.keep ?? ""] },
    onFault: ({ case: at, fault }) => console.log(`case ${at}: ${fault}\n`),
    onProgress: (at, faults) => {
      if (at % 500 === 0)
        process.stderr.write(`case ${at} of ${last}, ${faults} faults, ${Math.round((Date.now() - start) / 1000)} s\n`);
    },
  });
  const total = last - first + 1;
  console.log(`${total} damaged graphs: ${found.fine} ran, ${found.refused} refused, ${found.faults.length} faults`);
  process.exitCode = found.faults.length === 0 ? 0 : 1;
}

/** @param {string[]} args the seed, a file for the program or "", the first case and the last */
async function child([seedText, keep, ...range]) {
  const [seed = 0, first = 0, last = 0] = [seedText, ...range].map(Number);
  const { memory, setNumThreads } = await import("../dist/tensor.js");
  setNumThreads(1);
  const names = readdirSync(FIXTURES).filter((name) =>
    /^(?:tiny-2\.(?:6|11|15)|timm_vit|timm_convnext|own_branches)(?:-train)?\.pt2$/.test(name),
  );
  const seeds = names.map((name) => readFileSync(join(FIXTURES, name)));
  const folder = mkdtempSync(join(tmpdir(), "batch-cam-fuzz-"));
  const path = join(folder, "damaged.pt2");
  try {
    await runCases(
      async (at) => {
        const random = randomSource(Math.imul(seed + 1, 0x9e3779b1) ^ at);
        const program = mutateGraph(random.pick(seeds), random);
        writeFileSync(path, program);
        if (keep) writeFileSync(keep, program);
        const outcome = await outcomeOf(() => runProgramOnce(path));
        const { peakBytes } = memory();
        return peakBytes > MOST_BYTES ? `the engine used ${Math.round(peakBytes / 2 ** 20)} MiB` : outcome;
      },
      { first, last },
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
