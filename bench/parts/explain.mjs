// The part "explain": explanations per second compared with pytorch-grad-cam and torch-cam, at 28 and 224 pixels (bench/explain.mjs).
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { capabilities } from "batch-cam/tensor";

/** @import { Context, Measured, Row } from "../types.d.ts" */
/** @typedef {{ method: string, side: string, "images/s": number, "times the time of ours": number, batch: number, channels: string }} Speed */

const BUSY_ABOVE = 0.5; // load average

/** @param {Context} context @returns {Promise<Measured>} */
export async function explain({ python, threads, rounds, quick, say }) {
  /** @type {Row[]} */
  const rows = [];
  let [busy, torch] = [false, "none"];
  for (const size of [28, 224]) {
    say(`explain, ${size} px`);
    const program = fileURLToPath(new URL("../explain.mjs", import.meta.url));
    const options = ["--python", python, "--json", "--size", String(size), "--threads", String(threads)];
    const less = size === 224 ? ["--images", "64", "--batches", "8,16,32"] : ["--images", quick ? "500" : "1000"];
    const methods = quick || size === 224 ? ["--methods", "gradcam"] : [];
    const few = ["--rounds", String(quick ? 2 : Math.min(4, rounds))];
    const text = execFileSync(process.execPath, [program, ...options, ...less, ...methods, ...few], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
      maxBuffer: 2 ** 26,
    });
    const found = /** @type {{ machine: { load: [number, number], torch: string }, results: Speed[] }} */ (
      JSON.parse(text)
    );
    torch = found.machine.torch;
    busy ||= found.machine.load[0] > BUSY_ABOVE;
    rows.push(...rowsOf(found.results, `explain-${size}`));
  }
  return { rows, busy, versions: { libtorch: capabilities().version, torch } };
}

/**
 * Speeds of each side, and our time at its best relative to that of each library at its best, by method.
 *
 * @param {Speed[]} results
 * @param {string} name
 * @returns {Row[]}
 */
function rowsOf(results, name) {
  const methods = [...new Set(results.map(({ method }) => method))];
  return methods.flatMap((method) => {
    const own = results.filter((result) => result.method === method);
    const note = (/** @type {Speed} */ { batch, channels }) => `batch ${batch}, channels ${channels}`;
    const speeds = own.map((side) => ({
      case: name,
      measure: `images per second/${method}/${side.side}`,
      median: side["images/s"],
      note: note(side),
    }));
    const best = (/** @type {string} */ library) =>
      Math.max(...own.filter(({ side }) => side.startsWith(library)).map((side) => side["images/s"]), 0);
    const ratios = ["pytorch-grad-cam", "torch-cam"]
      .filter((library) => best(library) > 0)
      .map((library) => ({
        case: name,
        measure: method === "GradCAM" ? `explain/${library}` : `explain/${library}/${method}`,
        median: best(library) / best("batch-cam"),
      }));
    return [...speeds, ...ratios];
  });
}
