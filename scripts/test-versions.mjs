#!/usr/bin/env node
// Compiles the addon against several versions of libtorch and runs the tests with several versions of Node, each in a copy of the checkout,
// which is not changed. It prints a Markdown table, and exits with 1 if anything fails.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { cacheRoot } from "./setup/cache-root.mjs";
import { copyOfCheckout } from "./test-matrix/checkout.mjs";
import { fetchTorch, newestTorch } from "./test-matrix/fetch-libtorch.mjs";
import { fetchNode } from "./test-matrix/fetch-node.mjs";
import { run, runTests } from "./test-matrix/run-tests.mjs";
import { markdownTable, OUTCOME_HEADS, outcomeCells, outcomeLine } from "./test-matrix/table.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
const HELP = `node scripts/test-versions.mjs [options]

For each version of libtorch compiles the addon, and for each version of Node runs the tests on it, in a copy of the checkout.
By default: the pinned libtorch under every Node, and every libtorch under the first Node. Needs npm, pip and the network.

  --node VERSIONS      versions of Node, of npm's package "node" (20,22,24)
  --libtorch VERSIONS  versions of PyPI's package "torch"; "pinned" and "newest" are known (pinned,2.7.0,newest)
  --all                every libtorch under every Node
  --files PATHS        run these test files (separated by commas; parts of paths will do) instead of the whole suite
  --built              take addons that set-up has in its cache, instead of compiling each
  --cache FOLDER       where fetched versions are kept (in the user's cache folder); 1 to 2 GB for each libtorch
  --help               print this
`;

/** @typedef {Awaited<ReturnType<typeof fetchTorch>>} Torch */
/** @typedef {Awaited<ReturnType<typeof fetchNode>>} Node */

const { values } = parseArgs({
  options: {
    node: { type: "string", default: "20,22,24" },
    libtorch: { type: "string", default: "pinned,2.7.0,newest" },
    all: { type: "boolean", default: false },
    built: { type: "boolean", default: false },
    files: { type: "string", default: "" },
    cache: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});

/** @param {string} text */
const split = (text) => text.split(",").filter(Boolean);
/** @param {string} text */
const say = (text) => process.stderr.write(`${text}\n`);

/**
 * The pairs of versions to test: the first libtorch with every Node and the first Node with every libtorch, or all with all.
 *
 * @param {readonly Torch[]} torches
 * @param {readonly Node[]} nodes
 */
function pairs(torches, nodes) {
  return torches.flatMap((torch, i) =>
    nodes.filter((_, j) => values.all || i === 0 || j === 0).map((node) => ({ torch, node })),
  );
}

/**
 * Sets up a copy as a user would, and runs the tests there.
 *
 * @param {{ torch: Torch, node: Node }} pair
 * @param {{ copy: string, caches: string, files: readonly string[] }} options
 */
async function test({ torch, node }, { copy, caches, files }) {
  /** @type {NodeJS.ProcessEnv} */
  const env = { ...process.env, PATH: `${node.bin}:${process.env.PATH}`, LIBTORCH: torch.folder };
  if (!values.built) env.BATCH_CAM_CACHE = caches;
  say(`Node ${node.version}, libtorch ${torch.version}: setting up ...`);
  const started = Date.now();
  const { code, output } = await run(node.executable, ["scripts/setup.mjs"], { cwd: copy, env });
  const setUp = `${Math.round((Date.now() - started) / 1000)} s`;
  if (code !== 0) {
    const failures = [`set-up exited with ${code}:\n${output.trimEnd().split("\n").slice(-15).join("\n")}`];
    return { cells: ["failed", 0, 1, 0, setUp], failures };
  }
  say(`Node ${node.version}, libtorch ${torch.version}: testing ...`);
  const outcome = await runTests({ root: copy, env, files, node: node.executable });
  say(`Node ${node.version}, libtorch ${torch.version}: ${outcomeLine(outcome)}`);
  return { cells: [setUp, ...outcomeCells(outcome)], failures: outcome.failures };
}

/** @param {{ torches: readonly Torch[], nodes: readonly Node[], files: readonly string[] }} options */
async function testAll({ torches, nodes, files }) {
  const place = mkdtempSync(join(tmpdir(), "batch-cam-versions-"));
  const clear = () => rmSync(place, { recursive: true, force: true });
  const leave = (/** @type {number} */ code) => () => {
    clear();
    process.exit(code);
  };
  process.once("SIGINT", leave(130)).once("SIGTERM", leave(143));
  /** @type {(string | number)[][]} */
  const rows = [];
  const failures = [];
  try {
    const copy = copyOfCheckout(ROOT, join(place, "checkout"));
    const caches = join(place, "cache"); // a separate cache, so that the addon is compiled once for each libtorch
    mkdirSync(caches);
    for (const pair of pairs(torches, nodes)) {
      const { cells, failures: lines } = await test(pair, { copy, caches, files });
      rows.push([pair.node.version, pair.torch.version, ...cells]);
      failures.push(...lines.map((line) => `Node ${pair.node.version}, libtorch ${pair.torch.version}: ${line}`));
    }
  } finally {
    clear();
  }
  return { rows, failures };
}

async function main() {
  if (values.help) return void process.stdout.write(HELP);
  const cache = values.cache ?? join(cacheRoot(process.env), "versions");
  const nodes = [];
  for (const version of split(values.node)) nodes.push(await fetchNode(version, { cache, say }));
  /** @type {Torch[]} */
  const torches = [];
  for (const version of split(values.libtorch)) {
    const exact = version === "newest" ? await newestTorch() : version;
    if (!torches.some((torch) => torch.version === exact)) torches.push(await fetchTorch(exact, { cache, say }));
  }
  const { rows, failures } = await testAll({ torches, nodes, files: split(values.files) });
  console.log(markdownTable(["Node", "libtorch", "set-up", ...OUTCOME_HEADS], rows));
  for (const failure of failures) console.log(`\n- ${failure}`);
  if (failures.length > 0) process.exitCode = 1;
}

main().catch((error) => {
  say(`test-versions: ${error.message}`);
  process.exitCode = 2;
});
