#!/usr/bin/env node
// Writes the tables of docs/ between `<!-- table: NAME -->` and `<!-- end of table -->` from the feature descriptions, the schemas and the
// results of studies.
// `--check` writes nothing and fails if a table is out of date. It needs `npm run build` first.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { guidanceTables } from "./guidance-study/tables.mjs";

export const DOCS = fileURLToPath(new URL("../docs/", import.meta.url));

/** @typedef {{ description?: string, default?: unknown, enum?: unknown[], type?: unknown, group?: string }} Field */

/**
 * The text of every table by its name.
 *
 * @param {import("../src/config/features.ts").Features} features
 * @param {Record<string, Field>} fields of a train config (`fieldsOf`)
 * @param {readonly { name: string, summary: string }[]} commands
 * @returns {Record<string, string>}
 */
export function tablesOf(features, fields, commands) {
  const { models, datasets, distances, baselines, optimizers, schedules, methods } = features;
  const summaries = (/** @type {readonly { name: string, summary: string }[]} */ items) =>
    items.map(({ name, summary }) => [code(name), summary]);
  return {
    commands: table(["command", "what it does"], summaries(commands)),
    models: table(
      ["models", "what they are", "source", "their options", "weight names of"],
      models.map((family) => [
        codes(family.models),
        family.summary,
        family.source,
        codes(Object.keys(family.options)),
        family.namesOf ?? "its own",
      ]),
    ),
    datasets: table(
      ["data set", "images", "its options", "masks"],
      datasets.map(({ name, summary, options, masks }) => [code(name), summary, codes(Object.keys(options)), masks]),
    ),
    distances: table(
      ["distance", "distance of a map M and its prototype P", "usual weight"],
      distances.map(({ name, summary, lambda }) => [code(name), summary, String(lambda)]),
    ),
    baselines: table(
      ["baseline", "what it trains for", "source", "needs masks"],
      baselines.map(({ name, summary, source, needs }) => [code(name), summary, source, needs.masks ? "yes" : "no"]),
    ),
    optimizers: table(["optimizer", "what it is", "its options"], withOptions(optimizers)),
    schedules: table(["schedule", "learning rate", "its options"], withOptions(schedules)),
    methods: table(
      ["method", "map, before ReLU", "source"],
      methods.map(({ name, formula, source }) => [name, formula, source]),
    ),
    options: Object.entries(groupsOf(fields))
      .map(([group, own]) => `### ${group}\n\n${table(["option", "description", "default"], own.map(optionRow))}`)
      .join("\n\n"),
  };
}

/** The tables of the results of studies. */
export const studyTables = () =>
  guidanceTables(JSON.parse(readFileSync(`${DOCS}benchmarks/guidance/study.json`, "utf8")));

/**
 * Fills in the tables of a page. @throws if the page names a table that does not exist
 *
 * @param {string} text
 * @param {Record<string, string>} tables
 */
export function withTables(text, tables) {
  return text.replace(/<!-- table: (\w+) -->\n[\s\S]*?<!-- end of table -->/g, (_, name) => {
    if (tables[name] === undefined) throw new Error(`generate-docs: there is no table "${name}"`);
    return `<!-- table: ${name} -->\n${tables[name]}\n<!-- end of table -->`;
  });
}

/** @param {readonly { name: string, summary: string, options: object }[]} items */
const withOptions = (items) =>
  items.map(({ name, summary, options }) => [code(name), summary, codes(Object.keys(options))]);

/** @param {Record<string, Field>} fields @returns {Record<string, [string, Field][]>} */
function groupsOf(fields) {
  /** @type {Record<string, [string, Field][]>} */
  const groups = {};
  for (const entry of Object.entries(fields)) {
    const group = entry[1].group ?? "Other";
    groups[group] = [...(groups[group] ?? []), entry];
  }
  return groups;
}

/** @param {[string, Field]} entry */
function optionRow([key, { description = "", default: value, enum: choices }]) {
  const text = choices === undefined ? description : `${description}: ${codes(choices.map(String))}`;
  return [code(key), text, value === undefined || value === false ? "" : code(String(value))];
}

/** @param {readonly string[]} heads @param {readonly (readonly string[])[]} rows */
function table(heads, rows) {
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.map(cell).join(" | ")} |`;
  return [line(heads), line(heads.map(() => "---")), ...rows.map(line)].join("\n");
}

/** @param {string} text */
const cell = (text) => text.replaceAll("|", "\\|");
/** @param {string} name */
const code = (name) => `\`${name}\``;
/** @param {readonly string[]} names */
const codes = (names) => names.map(code).join(", ");

async function main() {
  const { FEATURES } = await import("../dist/config/features.js");
  const { TrainConfig } = await import("../dist/config/index.js");
  const { fieldsOf } = await import("../dist/config/internal.js");
  const { COMMANDS } = await import("../dist/cli/commands.js");
  const commands = await Promise.all(COMMANDS.map((/** @type {any} */ { load }) => load()));
  const tables = { ...tablesOf(FEATURES, fieldsOf(TrainConfig), commands), ...studyTables() };
  for (const name of readdirSync(DOCS).filter((file) => file.endsWith(".md"))) {
    const text = readFileSync(`${DOCS}${name}`, "utf8");
    const filled = withTables(text, tables);
    if (filled === text) continue;
    if (!process.argv.includes("--check")) writeFileSync(`${DOCS}${name}`, filled);
    else {
      process.stderr.write(`docs/${name} is out of date: run \`npm run generate\`\n`);
      process.exitCode = 1;
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
