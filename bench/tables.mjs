// Formats results: as lines for the terminal, and as the tables and the figure of docs/benchmarks.md.
import { barFigure } from "./figure.mjs";
import { goalOf, NETWORKS } from "./plan.mjs";

/** @import { Part, PartName, Results, Row } from "./types.d.ts" */

/** Results of one kind of processor at one time. @typedef {{ label: string, part: Part, name: string }} Source */

/**
 * The sources of a part: of each file the present results, and before them the earlier ones that have rows of it.
 *
 * @param {readonly Results[]} files
 * @param {PartName} name
 * @returns {Source[]}
 */
function sourcesOf(files, name) {
  return files.flatMap(({ title, parts, before = {} }) => {
    const earlier = Object.entries(before).map(([label, part]) => ({ label: `${title}: ${label}`, part, name }));
    const own = parts[name];
    return own === undefined ? earlier : [...earlier, { label: title, part: own, name }];
  });
}

/** @param {readonly Row[]} rows @param {string} name @param {string} measure */
const find = (rows, name, measure) => rows.find((row) => row.case === name && row.measure === measure);

/** @param {number} value */
function short(value) {
  if (value !== 0 && Math.abs(value) < 0.01) return value.toExponential(1);
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** The median with its spread. @param {Row | undefined} row */
function cell(row) {
  if (row === undefined) return "";
  const { median, low, high } = row;
  const spread = low === undefined || high === undefined || low === high ? "" : ` (${short(low)} to ${short(high)})`;
  return `${short(median)}${spread}`;
}

/** @param {Row | undefined} row */
const plain = (row) => (row === undefined ? "" : short(row.median));

/** The title of a case. @param {string} name */
function titleOf(name) {
  const [network = name, variant] = name.split("/");
  if (variant === "default") return `${DEFAULT_TITLES[network] ?? network}, by default`;
  return NETWORKS[/** @type {keyof typeof NETWORKS} */ (name)]?.title ?? name;
}

/** @type {Record<string, string>} */
const DEFAULT_TITLES = { "simple-cnn": "SimpleCNN", resnet18: "ResNet-18", convnextv2_atto: "ConvNeXt-V2 atto" };

/** @param {readonly string[]} heads @param {readonly (readonly string[])[]} rows */
function markdown(heads, rows) {
  if (rows.length === 0) return "Not measured yet.";
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.join(" | ")} |`;
  return [line(heads), line(heads.map(() => "---")), ...rows.map(line)].join("\n");
}

/** The cases of rows, in their order. @param {readonly Row[]} rows */
const casesOf = (rows) => [...new Set(rows.map((row) => row.case))];

/** @param {readonly Results[]} files @param {PartName[]} names */
const allSources = (files, names) =>
  names
    .flatMap((name) => sourcesOf(files, name))
    .filter((source, i, all) => all.findIndex(({ part }) => part === source.part) === i);

const SIDES = /** @type {const} */ (["eager", "compile", "eager-malloc", "compile-malloc"]);

/** Plain steps: our time divided by PyTorch's. @param {readonly Results[]} files */
function steps(files) {
  const rows = allSources(files, ["defaults", "fixed", "large"]).flatMap(({ label, part }) =>
    casesOf(part.rows)
      .filter((name) => SIDES.some((side) => find(part.rows, name, side)))
      .map((name) => {
        const own = find(part.rows, name, "ms");
        const ms = own === undefined ? "" : `${plain(own)} ms${own.note ? `, ${precisionOf(own.note)}` : ""}`;
        return [label, titleOf(name), ms, ...SIDES.map((side) => judged(find(part.rows, name, side)))];
      }),
  );
  return markdown(
    ["processor", "network", "ours", "best eager", "best compile", "eager, tuned malloc", "compile, tuned malloc"],
    rows,
  );
}

/** @param {string} config */
const precisionOf = (config) =>
  config.startsWith("bf16") ? "bfloat16" : config.startsWith("fp32") ? "float32" : config;

/** A cell with a mark if the goal is missed. @param {Row | undefined} row */
function judged(row) {
  if (row === undefined) return "";
  const goal = goalOf(row.case, row.measure);
  return goal === undefined || row.median <= goal ? cell(row) : `${cell(row)} *`;
}

const OBJECTIVES = ["prototype/l1", "prototype/l2", "prototype/ssim", "batch-cam/l1", "batch-cam/l2", "batch-cam/ssim"];

/** Guided steps: their time divided by that of plain ones. @param {readonly Results[]} files */
function guided(files) {
  const rows = allSources(files, ["defaults", "fixed", "large"]).flatMap(({ label, part }) =>
    casesOf(part.rows).flatMap((name) =>
      ["", "/last layer"].flatMap((suffix) => {
        const own = OBJECTIVES.map((objective) => find(part.rows, name, `guided/${objective}${suffix}`));
        const some = own.find((row) => row !== undefined);
        if (some === undefined) return [];
        const theirs = find(part.rows, name, `PyTorch guided/prototype/ssim${suffix}`);
        return [
          [
            label,
            titleOf(name),
            some.note ?? "",
            ...own.map((row) => (row && suffix === "" ? judged(row) : cell(row))),
            plain(theirs),
          ],
        ];
      }),
    ),
  );
  const heads = [
    "processor",
    "network",
    "maps",
    "Prototype L1",
    "L2",
    "SSIM",
    "Batch-CAM L1",
    "L2",
    "SSIM",
    "PyTorch, Prototype SSIM",
  ];
  return markdown(heads, rows);
}

/** Peak memory: ours divided by PyTorch's. @param {readonly Results[]} files */
function memory(files) {
  const rows = sourcesOf(files, "fixed").flatMap(({ label, part }) =>
    casesOf(part.rows)
      .filter((name) => find(part.rows, name, "memory"))
      .map((name) => [
        label,
        titleOf(name),
        plain(find(part.rows, name, "memory")),
        plain(find(part.rows, name, "memory/added")),
      ]),
  );
  return markdown(["processor", "network", "the whole process", "added by training"], rows);
}

/** Inference: our time divided by PyTorch's. @param {readonly Results[]} files */
function inference(files) {
  const rows = sourcesOf(files, "large").flatMap(({ label, part }) =>
    casesOf(part.rows)
      .filter((name) => find(part.rows, name, "inference/ms"))
      .map((name) => [
        ...[label, titleOf(name), `${plain(find(part.rows, name, "inference/ms"))} ms`],
        ...["eager-malloc", "compile-malloc"].map((side) => cell(find(part.rows, name, `inference/${side}`))),
      ]),
  );
  return markdown(
    ["processor", "network", "ours, a batch", "best eager, tuned malloc", "best compile, tuned malloc"],
    rows,
  );
}

const EXPLAIN_SIDES = [
  "batch-cam float32",
  "batch-cam bfloat16",
  "pytorch-grad-cam",
  "torch-cam",
  "torch-cam bfloat16",
];

/** Explanations: images per second, and our time divided by the other's. @param {readonly Results[]} files */
function explanations(files) {
  const rows = sourcesOf(files, "explain").flatMap(({ label, part }) =>
    casesOf(part.rows)
      .filter((name) => name.startsWith("explain-"))
      .flatMap((name) => {
        const methods = new Set(
          part.rows
            .filter((row) => row.case === name && row.measure.startsWith("images per second/"))
            .map(({ measure }) => measure.split("/")[1] ?? ""),
        );
        return [...methods].map((method) => {
          const suffix = method === "GradCAM" ? "" : `/${method}`;
          const ratio = (/** @type {string} */ library) => judged(find(part.rows, name, `explain/${library}${suffix}`));
          const speeds = EXPLAIN_SIDES.map((side) =>
            plain(find(part.rows, name, `images per second/${method}/${side}`)),
          );
          return [
            label,
            `${method}, ${name.replace("explain-", "")} px`,
            ...speeds,
            ratio("pytorch-grad-cam"),
            ratio("torch-cam"),
          ];
        });
      }),
  );
  return markdown(["processor", "method", ...EXPLAIN_SIDES, "ours / pytorch-grad-cam", "ours / torch-cam"], rows);
}

/** @type {Record<string, string>} */
const SMALL_THINGS = {
  "start-up": "seconds until the first step of `batch-cam train` on MNIST",
  "validation/inference": "validation / forward passes",
  "input-gradient/plain": "a step with a penalty on input gradients (rrr) / a plain step",
  "busy neighbour/alone": "a step beside a busy process / alone",
  "call/add": "calling `add` / the same in PyTorch",
  "call/add, recorded": "calling `add` with autograd / the same in PyTorch",
};

/** @param {readonly Results[]} files */
function smallThings(files) {
  const rows = sourcesOf(files, "small-things").flatMap(({ label, part }) =>
    Object.entries(SMALL_THINGS).flatMap(([measure, title]) =>
      part.rows
        .filter((row) => row.measure === measure)
        .map((row) => [
          label,
          title,
          Object.hasOwn(NETWORKS, row.case) ? titleOf(row.case) : "",
          judged(row),
          goalText(row),
        ]),
    ),
  );
  return markdown(["processor", "what", "network", "measured", "goal"], rows);
}

/** @param {Row} row */
function goalText({ case: name, measure }) {
  const goal = goalOf(name, measure);
  return goal === undefined ? "" : `at most ${short(goal)}`;
}

/** Where and when each part was measured. @param {readonly Results[]} files */
function runs(files) {
  const rows = files.flatMap(({ title, parts, before = {} }) => {
    const earlier = Object.entries(before).map(([label, part]) => [`${title}: ${label}`, "", part]);
    const own = Object.entries(parts).map(([name, part]) => [title, name, part]);
    return /** @type {[string, string, Part][]} */ ([...earlier, ...own]);
  });
  return markdown(
    ["processor", "part", "date", "commit", "machine", "libtorch, torch, node", "threads, rounds", "remarks"],
    rows.map(([label, name, { taken }]) => {
      const { date, commit, machine, versions, threads, rounds, busy, note = "" } = taken;
      const remarks = [busy ? "other programs used the machine: do not quote" : "", note]
        .filter((text) => text !== "")
        .join("; ");
      const memory = machine.memoryGiB > 0 ? `, ${machine.memoryGiB} GiB` : "";
      const used = `${machine.cpu}, ${machine.cores} cores${memory}`;
      return [
        label,
        name,
        date,
        commit,
        used,
        `${versions.libtorch}, ${versions.torch}, ${machine.node}`,
        `${threads}, ${rounds}`,
        remarks,
      ];
    }),
  );
}

/**
 * The text of every table of docs/benchmarks.md by its name.
 *
 * @param {readonly Results[]} files
 * @returns {Record<string, string>}
 */
export const benchmarkTables = (files) => ({
  ...{ steps: steps(files), guided: guided(files), memory: memory(files), inference: inference(files) },
  ...{ explanations: explanations(files), small: smallThings(files), runs: runs(files) },
});

/**
 * The lines that the terminal shows of a part.
 *
 * @param {PartName} name
 * @param {Part} part
 */
export function partLines(name, { taken, rows }) {
  const { machine, versions, threads, rounds, busy } = taken;
  const shown = rows.map((row) => {
    const goal = goalOf(row.case, row.measure);
    const met = goal === undefined ? "" : `  goal ${short(goal)}: ${row.median <= goal ? "met" : "missed"}`;
    return `  ${row.case.padEnd(24)} ${row.measure.padEnd(36)} ${cell(row)}${met}${row.note ? `  [${row.note}]` : ""}`;
  });
  return [
    `${name}: ${machine.cpu}, ${machine.cores} cores (${machine.flags.join(" ")}); ${threads} threads, ${rounds} rounds`,
    `libtorch ${versions.libtorch}, Python's torch ${versions.torch}, node ${machine.node}`,
    ...shown,
    ...(busy ? ["BUSY: other programs used the machine. Do not quote these numbers."] : []),
  ];
}

/**
 * A figure of plain steps: PyTorch's time relative to ours, for each kind of processor, from the latest results.
 *
 * @param {readonly Results[]} files
 */
export function stepFigure(files) {
  const groups = files.flatMap((file) => {
    const part = file.parts.fixed ?? Object.values(file.before ?? {}).at(-1);
    if (part === undefined) return [];
    const bars = casesOf(part.rows).flatMap((name) =>
      /** @type {const} */ (["eager-malloc", "compile-malloc"]).flatMap((side) => {
        const row = find(part.rows, name, side);
        if (row === undefined) return [];
        const [kind, library] = side === "eager-malloc" ? ["eager", "PyTorch eager"] : ["compile", "torch.compile"];
        return [{ label: `${titleOf(name)}: ${library}`, kind, times: 1 / row.median }];
      }),
    );
    return [{ title: `${file.title}, ${part.taken.date}`, bars }];
  });
  return barFigure({
    title: "A training step: PyTorch's time relative to ours",
    subtitle:
      "1x28x28 images, Adam, two threads; the line is our time. Each library in its fastest configuration, with tuned malloc.",
    footer: "Medians of one run on each processor. docs/benchmarks.md has the spreads, the versions and the commands.",
    groups,
  });
}
