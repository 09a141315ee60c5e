// Formats the results as text.

import { barFigure } from "./figure.mjs";
import { LOOPS, MEMORY_GOAL, MODELS } from "./plan.mjs";

/** @import { Found, ModelResult, Quiet, Spread } from "./types.d.ts" */

/** @typedef {{ title: string, config: string, peakMiB: number, loadedMiB: number }} Memory */

/** @param {Spread} spread */
const ms = ({ median }) => Number(median.toPrecision(3));
/**
 * @param {Spread} spread
 * @param {number} digits
 */
const range = ({ low, high }, digits) => `${low.toFixed(digits)} to ${high.toFixed(digits)}`;
/** @param {Spread} spread */
const ratio = (spread) => Number(spread.median.toFixed(spread.median < 0.1 ? 3 : 2));
/** @param {Spread} spread */
const times = (spread) => Number(spread.median.toFixed(3));
/**
 * @param {{ median: number }} value
 * @param {number | undefined} most
 */
const goal = (value, most) =>
  most === undefined ? "" : `<= ${most.toFixed(2)} ${value.median <= most ? "met" : "missed"}`;
/** @param {Quiet} quiet */
const rounds = ({ quiet, of, busy }) => (busy ? `BUSY: 0 of ${of}` : `${quiet} of ${of}`);

/**
 * @param {ModelResult} result
 * @param {string} side
 */
const titleOf = (result, side) => result.peers.find(({ kind }) => kind === side)?.title ?? "batch-cam";

/** @param {readonly ModelResult[]} results */
export function stepTable(results) {
  return results.flatMap((result) =>
    result.plain.rows.map((row) => ({
      model: result.model,
      side: titleOf(result, row.side),
      "used as": row.config,
      "ms a step": ms(row.ms),
      spread: range(row.ms, 1),
      "ours / it": row.side === "ours" ? "" : ratio(row.ratio),
      "ratio's spread": row.side === "ours" ? "" : range(row.ratio, 2),
      goal: row.side === "eager" || row.side === "compile" ? goal(row.ratio, MODELS[result.model].goals[row.side]) : "",
      "quiet rounds": rounds(result.plain),
    })),
  );
}

/** @param {readonly ModelResult[]} results */
export function guidedTable(results) {
  return results.flatMap(({ model, guided }) =>
    guided.flatMap((at) =>
      at.rows.map(({ objective, distance, ours, eager, ratio: between }) => {
        const plain = objective === "plain";
        return {
          model,
          maps: at.layer,
          objective: plain ? "plain" : `${objective} ${distance}`,
          "ours ms": ms(ours.ms),
          "over plain": times(ours.overPlain),
          spread: range(ours.overPlain, 2),
          goal: plain ? "" : goal(ours.overPlain, MODELS[model].goals.guided),
          "PyTorch ms": ms(eager.ms),
          "relative to its plain step": times(eager.overPlain),
          "ours / PyTorch": ratio(between),
          "quiet rounds": rounds(at),
        };
      }),
    ),
  );
}

/** @param {readonly ModelResult[]} results */
export function loopTable(results) {
  return results.flatMap(({ model, loops }) =>
    loops.rows.map((row) => ({
      model,
      "in PyTorch": LOOPS[row.objective],
      "ms a step": ms(row.ms),
      "relative to its plain step": Number(row.overPlain.median.toFixed(2)),
      "quiet rounds": rounds(loops),
    })),
  );
}

/**
 * The memory of the whole process, and the part that training added after its libraries were loaded.
 *
 * @param {readonly ModelResult[]} results
 */
export function memoryTable(results) {
  return results.flatMap((result) => {
    const [own, ...others] = memoryOf(result);
    if (own === undefined) return [];
    /** @param {Memory} memory */
    const added = ({ peakMiB, loadedMiB }) => peakMiB - loadedMiB;
    return [own, ...others].map((side) => {
      const whole = own.peakMiB / side.peakMiB;
      return {
        model: result.model,
        side: side.title,
        "used as": side.config,
        "peak MiB": Math.round(side.peakMiB),
        "ours / it": side === own ? "" : Number(whole.toFixed(2)),
        goal: side.title.includes("eager") ? goal({ median: whole }, MEMORY_GOAL) : "",
        "added MiB": Math.round(added(side)),
        "ours / it, added": side === own ? "" : Number((added(own) / added(side)).toFixed(2)),
      };
    });
  });
}

/**
 * The memory of our process, of both peers with glibc's default settings, and of the eager configuration with the smallest peak if it is
 * not the fastest.
 *
 * @param {ModelResult} result
 * @returns {Memory[]}
 */
function memoryOf(result) {
  const fastest = result.plain.rows
    .filter(({ side }) => ["ours", "eager", "compile"].includes(side))
    .map(({ side, config, memory }) => ({ title: titleOf(result, side), config, ...memory }));
  const eager = result.peers.find(({ kind }) => kind === "eager");
  const [least] = Object.entries(eager?.tried ?? {}).toSorted(([, a], [, b]) => a.peakMiB - b.peakMiB);
  if (least === undefined || least[0] === eager?.config) return fastest;
  const [config, { peakMiB, loadedMiB }] = least;
  return [...fastest, { title: "PyTorch eager, leanest", config, peakMiB, loadedMiB }];
}

/**
 * The largest difference between the first losses of the sides, which start from the same weights and images.
 *
 * @param {readonly ModelResult[]} results
 */
export function disagreement(results) {
  /** @type {[number, number][]} */
  const pairs = results.flatMap(({ plain, guided }) => [
    ...plain.rows.map(
      ({ firstLoss }) => /** @type {[number, number]} */ ([plain.rows[0]?.firstLoss ?? Number.NaN, firstLoss]),
    ),
    ...guided.flatMap(({ rows }) =>
      rows.map(({ ours, eager }) => /** @type {[number, number]} */ ([ours.firstLoss, eager.firstLoss])),
    ),
  ]);
  return Math.max(...pairs.map(([a, b]) => Math.abs(a - b) / Math.abs(b)));
}

/**
 * Warnings about results that must not be quoted.
 *
 * @param {readonly ModelResult[]} results
 */
export function warnings(results) {
  const swept = results.flatMap(({ peers }) => peers.flatMap(({ tried }) => Object.values(tried)));
  const parts = results.flatMap(({ plain, guided, loops }) => [plain, ...guided, loops]);
  const found = [];
  if (parts.some(({ busy }) => busy))
    found.push("BUSY: other programs used the machine in every round of the results marked so. Do not quote them.");
  if (swept.some(({ busy }) => busy))
    found.push(
      "BUSY: other programs used the machine while configurations were compared, so a peer may have a faster one.",
    );
  return found;
}

/** @param {Found} found */
export function machineLines({ machine, versions, options, load, disagreement: apart }) {
  const { cpu, cores, flags, memoryGiB, platform, node } = machine;
  return [
    `${cpu}, ${cores} cores (${flags.join(" ")}), ${memoryGiB} GiB, ${platform}; ${options.threads} threads`,
    `libtorch ${versions.libtorch}, Python's torch ${versions.torch}, node ${node}`,
    `load average ${load.before.toFixed(2)} before, ${load.after.toFixed(2)} after; ${options.rounds} rounds`,
    `first losses of all sides agree to ${apart.toExponential(1)}`,
  ];
}

/** @param {Found} found */
export function stepFigure({ machine, versions, options, results }) {
  const groups = results.map((result) => ({
    title: `${MODELS[result.model].title}, batch ${result.batch}`,
    bars: result.plain.rows.map((row) => ({
      label: titleOf(result, row.side),
      kind: row.side.split("-")[0] ?? row.side,
      ms: row.ms,
      note: row.side === "ours" ? "" : `ours / it ${ratio(row.ratio).toFixed(2)}`,
    })),
  }));
  const busy = results.some(({ plain }) => plain.busy);
  return barFigure({
    title: "A training step, shorter is better",
    subtitle: `1x28x28 images, Adam; ${machine.cpu}, ${options.threads} threads (${machine.flags.join(" ")})`,
    footer: `Medians, with their spread; each model has its own scale. libtorch ${versions.libtorch}, torch ${versions.torch}.${busy ? " THE MACHINE WAS BUSY." : ""}`,
    groups,
  });
}
