// The tables that docs/benchmarks.md makes of docs/benchmarks/guidance/study.json.

/** @import { Study, StudyRun } from "./types.d.ts" */

/** @param {Study} study @returns {Record<string, string>} */
export const guidanceTables = (study) => ({ guidanceTimes: timesTable(study), guidanceTrade: tradeTable(study) });

/** @param {Study} study */
function timesTable({ times }) {
  const kinds = [...new Set(times.map(({ kind }) => kind))].filter((kind) => kind !== "plain");
  const groups = groupedBy(
    times,
    ({ model, precision, batchSize }) => `${model}, batches of ${batchSize} | ${precision}`,
  );
  const rows = [...groups].map(([name, own]) => {
    const of = (/** @type {string} */ kind) => own.find((time) => time.kind === kind);
    return `| ${[name, `${of("plain")?.milliseconds ?? ""} ms`, ...kinds.map((kind) => of(kind)?.overPlain.toFixed(2) ?? "")].join(" | ")} |`;
  });
  const heads = ["network", "precision", "plain", ...kinds];
  return [line(heads), line(heads.map(() => "---")), ...rows].join("\n");
}

/** @param {Study} study */
function tradeTable({ runs }) {
  const heads = [
    "network, data, steps",
    "guided",
    "accuracy, %",
    "SSIM of the maps",
    "coherence",
    "dead maps, %",
    "seeds",
  ];
  const groups = groupedBy(runs, ({ model, dataset, steps }) => `${model}, ${dataset}, ${steps}`);
  const rows = [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([place, own]) =>
      [...groupedBy(own, ({ variant }) => variant)]
        .sort(([a], [b]) => order(a) - order(b))
        .map(([variant, list], i) => {
          const of = (/** @type {"accuracy" | "mapSsim" | "coherence" | "deadMaps"} */ key) =>
            list.map((run) => run[key]);
          return line([
            i === 0 ? place : "",
            variant === "plain" ? "no step (plain)" : variant,
            spread(
              of("accuracy").map((value) => 100 * value),
              1,
            ),
            spread(of("mapSsim"), 3),
            spread(of("coherence"), 2),
            spread(
              of("deadMaps").map((value) => 100 * value),
              1,
            ),
            String(list.length),
          ]);
        }),
    );
  return [line(heads), line(heads.map(() => "---")), ...rows].join("\n");
}

const ORDER = ["plain", "every step", "1 step in 2", "1 step in 4", "1 step in 10", "a quarter of each batch"];
/** @param {string} variant */
const order = (variant) => ORDER.indexOf(variant);

/** Mean and standard deviation over the seeds. @param {readonly number[]} values @param {number} digits */
function spread(values, digits) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (values.length < 2) return mean.toFixed(digits);
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return `${mean.toFixed(digits)} ± ${Math.sqrt(variance).toFixed(digits)}`;
}

/** @param {readonly string[]} cells */
const line = (cells) => `| ${cells.join(" | ")} |`;

/** @template T @param {readonly T[]} items @param {(item: T) => string} key @returns {Map<string, T[]>} */
function groupedBy(items, key) {
  /** @type {Map<string, T[]>} */
  const groups = new Map();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}
