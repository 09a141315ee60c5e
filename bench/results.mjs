// The file of results of a kind of processor: docs/benchmarks/<kind>.json. Parts are merged into it as they are measured.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** @import { Machine, Measured, Part, PartName, Results, Row, Taken } from "./types.d.ts" */

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/**
 * Names a kind of processor by its maker and by the instructions that decide which kernels run.
 *
 * @param {Machine} machine
 * @returns {{ kind: string, title: string }}
 */
export function kindOf({ cpu, flags, platform }) {
  const maker = /amd/i.test(cpu) ? "AMD" : /intel/i.test(cpu) ? "Intel" : /arm64/.test(platform) ? "ARM" : "Other";
  const has = (/** @type {string} */ flag) => flags.includes(flag);
  const [id, title] = has("amx_bf16")
    ? ["amx", "AMX"]
    : has("avx512_bf16")
      ? ["avx512-bf16", "AVX-512 with bfloat16"]
      : has("avx512f")
        ? ["avx512", "AVX-512 without bfloat16"]
        : has("avx2")
          ? ["avx2", "AVX2"]
          : ["baseline", "no wide vectors"];
  return { kind: `${maker.toLowerCase()}-${id}`, title: `${maker}, ${title}` };
}

/** The short hash of the commit that is checked out, with a mark if files differ from it. */
export function commitOf() {
  try {
    const git = (/** @type {string[]} */ ...args) => execFileSync("git", args, { cwd: ROOT, encoding: "utf8" }).trim();
    const changed = git("status", "--porcelain", "--untracked-files=no") === "" ? "" : " with changes";
    return `${git("rev-parse", "--short=10", "HEAD")}${changed}`;
  } catch {
    return "unknown";
  }
}

/**
 * Writes a part's rows into the processor's file, in place of the earlier ones. Rows of networks that were not measured this time are kept
 * if `only` names the measured ones.
 *
 * @param {string} folder
 * @param {PartName} name
 * @param {{ taken: Taken, measured: Measured, only?: readonly string[] | undefined }} found
 * @returns {string} the path of the file
 */
export function mergePart(folder, name, { taken, measured, only }) {
  const { kind, title } = kindOf(taken.machine);
  const path = join(folder, `${kind}.json`);
  /** @type {Results} */
  const results = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : { kind, title, parts: {} };
  const earlier = only === undefined ? [] : (results.parts[name]?.rows ?? []);
  const replaced = new Set(measured.rows.map((row) => row.case));
  const rows = [...earlier.filter((row) => !replaced.has(row.case)), ...measured.rows.map(rounded)];
  results.parts[name] = { taken, rows };
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, `${JSON.stringify(results, null, 1)}\n`);
  return path;
}

/** A row with four digits, which are more than the measurements have. @param {Row} row @returns {Row} */
function rounded({ case: name, measure, median, low, high, note }) {
  const short = (/** @type {number} */ value) => Number(value.toPrecision(4));
  return {
    ...{ case: name, measure, median: short(median) },
    ...(low === undefined || high === undefined ? {} : { low: short(low), high: short(high) }),
    ...(note === undefined ? {} : { note }),
  };
}
