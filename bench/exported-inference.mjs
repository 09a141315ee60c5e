// Compares the inference of imported networks with PyTorch's eager mode, for bench/exported.mjs. Each side has its own process, with the same
// number of threads and the same settings of malloc, and they take turns. PyTorch runs in both memory layouts; its faster one counts.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { start } from "./peer.mjs";
import { KEEPING } from "./plan.mjs";

/** @import { Side } from "./types.d.ts" */
/** @typedef {{ networks: string[], folder: string, threads: string, rounds: number, batch: number, clock: string }} Plan */

const PROGRAM = fileURLToPath(new URL("peers/exported.py", import.meta.url));
const OURS = fileURLToPath(new URL("exported-ours.mjs", import.meta.url));
/** Forward passes in each turn. */
const COUNT = 2;

/**
 * One row for each network: the least milliseconds of a pass here and in PyTorch, and their ratio.
 *
 * @param {string} python
 * @param {Plan} plan
 */
export async function inferenceRows(python, { networks, folder, threads, rounds, batch, clock }) {
  const missing = networks.filter((name) => !existsSync(join(folder, `${name}.safetensors`)));
  if (missing.length > 0)
    execFileSync(python, ["-B", "-W", "ignore", PROGRAM, "export", folder, ...missing], { stdio: "inherit" });
  const env = process.platform === "linux" ? KEEPING : {};
  const ours = await start(process.execPath, [OURS, threads], { env, says: "is the package built?" });
  const peer = await start(python, ["-B", "-W", "ignore", PROGRAM, "serve", threads], { env, says: "is torch there?" });
  const rows = [];
  try {
    for (const name of networks) {
      const request = { name, folder, batch, clock, count: COUNT };
      const [own, first, last] = await leastInTurns(
        [
          () => ours.ask(request),
          () => peer.ask({ ...request, channelsLast: false }),
          () => peer.ask({ ...request, channelsLast: true }),
        ],
        rounds,
      );
      const theirs = Math.min(first, last);
      rows.push([name, own.toFixed(1), first.toFixed(1), last.toFixed(1), (own / theirs).toFixed(3)]);
    }
  } finally {
    await Promise.all([ours.stop(), peer.stop()]);
  }
  return rows;
}

/**
 * The least milliseconds of each side, in turns, after one round that is not counted.
 *
 * @param {readonly (() => Promise<unknown>)[]} sides
 * @param {number} rounds
 * @returns {Promise<[number, number, number]>}
 */
async function leastInTurns(sides, rounds) {
  const least = sides.map(() => Number.POSITIVE_INFINITY);
  for (let round = 0; round <= rounds; round++)
    for (const [i, side] of sides.entries()) {
      const { seconds } = /** @type {{ seconds: number[] }} */ (await side());
      if (round > 0) least[i] = Math.min(least[i] ?? Number.NaN, ...seconds.map((each) => 1000 * each));
    }
  return /** @type {[number, number, number]} */ (least);
}
