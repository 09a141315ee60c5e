#!/usr/bin/env node
// Enforces ARCHITECTURE.md's import table: every import of every source file, except tests, must be allowed by its folder's row. It also
// refuses circular imports, and includes in native/ that the table does not allow or that declare every operator of libtorch. It fails if
// it finds no file, if a folder has no row, and if a row has no folder.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";

const EVERYWHERE = [
  "src/errors.ts",
  "src/nearest-name.ts",
  "src/arguments.ts",
  "src/checksum.ts",
  "src/cache-folder.ts",
  "src/atomic-file.ts",
  "src/regular-file.ts",
  "src/counted.ts",
  "src/notes.ts",
  "src/registry.ts",
  "src/measures.ts",
];
/** The row of the feature descriptions, which are plain data that any folder may import. */
const DESCRIPTIONS = "src/**/description.ts";
/** @param {string} path */
const isDescription = (path) => /(?:\/|-)description\.ts$/.test(path);
/** The files of a folder that other folders may import: its public names and its names for the rest of the project. */
const DOORS = ["index.ts", "internal.ts"];
const IMPORT = /^\s*(?:import|export)\s+(type\s)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"|import\(\s*"([^"]+)"\s*\)/gm;

/**
 * @typedef {{ places: string[], types: string[], packages: string[] }} Rule the folders, folders for types only, and packages that may be
 * imported
 */
/** @typedef {Map<string, Rule>} Table the rules by folder or file */

/**
 * Reads the table's rows: for each folder or file, what it may import.
 *
 * @param {string} markdown
 * @returns {Table}
 */
export function readTable(markdown) {
  const block = markdown.split("<!-- import-table -->")[1]?.match(/```\n([\s\S]*?)```/)?.[1];
  if (block === undefined) throw new Error("ARCHITECTURE.md has no import table");
  const rows = block.split("\n").flatMap((line) => {
    const match = line.match(/^(src\/\S+)\s+.*?\s- (.*)$/);
    const [, place, rule] = match ?? [];
    return place && rule ? [{ place: place.replace(/\/$/, ""), rule: rule.trim() }] : [];
  });
  const places = rows.map(({ place }) => place);
  return new Map(
    rows.map(({ place, rule }, index) => {
      const [own = "", packages = ""] = rule.split("; npm: ");
      return [place, { ...ruleOf(own, places, index), packages: packages.split(", ").filter(Boolean) }];
    }),
  );
}

/**
 * @param {string} rule
 * @param {readonly string[]} places
 * @param {number} index
 * @returns {Pick<Rule, "places" | "types">}
 */
function ruleOf(rule, places, index) {
  const folders = places.filter((place) => place !== DESCRIPTIONS);
  /** @param {string} text */
  const named = (text) =>
    folders.filter((place) =>
      new RegExp(`(^|[ ,])${place.replace(/^src\//, "").replace(/\.ts$/, "")}([ ,]|$)`).test(text),
    );
  /** @param {readonly string[]} list */
  const but = (list) => list.filter((place) => place !== "src/engine");
  if (rule.startsWith("anything in src but engine")) return { places: but(places), types: [] };
  if (rule.startsWith("all src/ above but engine")) return { places: but(places.slice(0, index)), types: [] };
  if (rule.startsWith("the same, and")) return { places: but(places.slice(0, index)), types: [] };
  if (rule.startsWith("types of")) return { places: [], types: named(rule) };
  return { places: named(rule), types: [] };
}

/**
 * Reads the list of single files that may be imported from outside of their folder.
 *
 * @param {string} markdown
 * @returns {string[]}
 */
export function readOpenFiles(markdown) {
  const block = markdown.split("<!-- open-files -->")[1]?.match(/```\n([\s\S]*?)```/)?.[1];
  if (block === undefined) throw new Error("ARCHITECTURE.md has no list of open files");
  return block.split("\n").flatMap((line) => line.match(/^src\/\S+/) ?? []);
}

/**
 * The faults of one file, as "file:line: message".
 *
 * @param {string} file
 * @param {string} source
 * @param {Table} table
 * @param {readonly string[]} openFiles single files that may be imported from outside of their folder
 * @returns {string[]}
 */
export function faultsOf(file, source, table, openFiles = []) {
  const place = placeOf(file, table);
  const rule = place === undefined ? undefined : table.get(place);
  if (rule === undefined) return [`${file}: its folder has no row in the import table`];
  const faults = [];
  for (const match of source.matchAll(IMPORT)) {
    const target = match[2] ?? match[3] ?? "";
    const line = source.slice(0, match.index).split("\n").length + (match[0].match(/^\n*/)?.[0].length ?? 0);
    if (target.endsWith(".node") && place !== "src/engine")
      faults.push(`${file}:${line}: only src/engine may load the addon`);
    if (!target.startsWith(".")) {
      const name = target.match(/^(?:@[^/]+\/)?[^/]+/)?.[0];
      if (!target.startsWith("node:") && !rule.packages.includes(name ?? ""))
        faults.push(`${file}:${line}: ${place} may not import the package ${name}`);
      continue;
    }
    const path = toPath(file, target);
    const to = placeOf(path, table);
    if (to === place || to === DESCRIPTIONS || EVERYWHERE.includes(path)) continue;
    if (to !== undefined && (rule.places.includes(to) || (match[1] && rule.types.includes(to)))) {
      if (!isDoor(path, to) && !openFiles.includes(path))
        faults.push(`${file}:${line}: ${path} is private to ${to}; import ${to}/internal.ts`);
      continue;
    }
    const kind = to !== undefined && rule.types.includes(to) ? "more than types" : (to ?? path);
    faults.push(`${file}:${line}: ${place} may not import ${kind} (${target})`);
  }
  return faults;
}

/** @param {string} path @param {string} folder that it is in */
const isDoor = (path, folder) => folder.endsWith(".ts") || DOORS.some((name) => path === `${folder}/${name}`);

/** Headers of libtorch that declare every operator. Each takes as long to compile as everything else in a file. */
const EVERY_OPERATOR =
  /^\s*#\s*include\s*[<"]((?:ATen\/(?:ATen|Functions|NativeFunctions)|torch\/(?:all|torch|extension))\.h)[>"]/gm;

/**
 * The includes of one file of native/ that declare every operator.
 *
 * @param {string} file
 * @param {string} source
 */
export function headerFaultsOf(file, source) {
  return [...source.matchAll(EVERY_OPERATOR)].map((match) => {
    const line = source.slice(0, (match.index ?? 0) + match[0].indexOf("#")).split("\n").length;
    return `${file}:${line}: ${match[1]} declares every operator; include ATen/core/Tensor.h, and ATen/ops/<name>.h for each that is called`;
  });
}

/**
 * Reads the table's rows of native/: for each folder, the folders of native/, libtorch and node-api-headers that its files may include.
 *
 * @param {string} markdown
 * @returns {Map<string, string[]>}
 */
export function readIncludeTable(markdown) {
  const rows = [...markdown.matchAll(/^(native\/\w+)\/\s.*?\s- (.*)$/gm)];
  if (rows.length === 0) throw new Error("ARCHITECTURE.md has no rows of native/");
  return new Map(rows.map(([, folder = "", rule = ""]) => [folder, rule.trim().split(", ")]));
}

const INCLUDE = /^\s*#\s*include\s*(?:"([^"]+)"|<((?:ATen|c10|torch)\/|node_api\.h>))/gm;

/**
 * The includes of one file of native/ that the table does not allow.
 *
 * @param {string} file
 * @param {string} source
 * @param {ReadonlyMap<string, readonly string[]>} table
 */
export function includeFaultsOf(file, source, table) {
  const own = file.split("/").slice(0, 2).join("/");
  const allowed = table.get(own);
  if (allowed === undefined) return [`${file}: its folder has no row in the import table`];
  return [...source.matchAll(INCLUDE)].flatMap((match) => {
    const external = match[2]?.startsWith("node_api") ? "node-api-headers" : "libtorch";
    const target = match[1] === undefined ? external : `native/${dirname(match[1])}`;
    if (target === own || allowed.includes(target.replace(/^native\//, ""))) return [];
    const line = source.slice(0, (match.index ?? 0) + match[0].indexOf("#")).split("\n").length;
    return [`${file}:${line}: ${own} may not include ${target === "native/." ? match[1] : target}`];
  });
}

/**
 * Circular imports as "a.ts -> b.ts -> a.ts", found in the imports of each file. Imports of types count too.
 *
 * @param {ReadonlyMap<string, readonly string[]>} importsOf
 */
export function circlesOf(importsOf) {
  /** @type {string[]} */
  const circles = [];
  /** @type {Set<string>} */
  const done = new Set();
  /**
   * @param {string} file
   * @param {readonly string[]} path
   */
  const visit = (file, path) => {
    const start = path.indexOf(file);
    if (start >= 0) circles.push([...path.slice(start), file].join(" -> "));
    if (start >= 0 || done.has(file)) return;
    for (const next of importsOf.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of importsOf.keys()) visit(file, []);
  return circles;
}

/**
 * The files of the project that a file imports.
 *
 * @param {string} file
 * @param {string} source
 */
function importsIn(file, source) {
  return [...source.matchAll(IMPORT)].flatMap((match) => {
    const target = match[2] ?? match[3] ?? "";
    return target.startsWith(".") ? [toPath(file, target)] : [];
  });
}

/**
 * @param {string} file
 * @param {string} target
 */
const toPath = (file, target) =>
  relative(".", resolve(dirname(file), target))
    .split(sep)
    .join("/");

/**
 * @param {string} path
 * @param {Table} table
 */
function placeOf(path, table) {
  if (isDescription(path)) return table.has(DESCRIPTIONS) ? DESCRIPTIONS : undefined;
  if (table.has(path)) return path;
  const folder = path.split("/").slice(0, 2).join("/");
  return table.has(folder) ? folder : undefined;
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
function filesIn(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = `${folder}/${name}`;
    if (statSync(path).isDirectory()) return path === "native/build" ? [] : filesIn(path);
    return [path];
  });
}

/** @param {string} path */
const isSource = (path) => /\.tsx?$/.test(path) && !/\.test\.tsx?$/.test(path);

function main() {
  const markdown = readFileSync("ARCHITECTURE.md", "utf8");
  const table = readTable(markdown);
  const openFiles = readOpenFiles(markdown);
  const files = existsSync("src") ? filesIn("src").filter(isSource) : [];
  const faults = files.flatMap((file) => faultsOf(file, readFileSync(file, "utf8"), table, openFiles));
  if (files.length === 0) faults.push("src/: no source file found; the check would check nothing");
  const importsOf = new Map(files.map((file) => [file, importsIn(file, readFileSync(file, "utf8"))]));
  for (const circle of circlesOf(importsOf)) faults.push(`a circular import: ${circle}`);
  for (const place of table.keys())
    if (place !== DESCRIPTIONS && !existsSync(place))
      faults.push(`ARCHITECTURE.md: ${place} is in the table but not in the tree`);
  for (const file of openFiles)
    if (!existsSync(file)) faults.push(`ARCHITECTURE.md: ${file} is in the list of open files but not in the tree`);
  const includes = readIncludeTable(markdown);
  for (const file of filesIn("native").filter((path) => /\.(cc|h)$/.test(path))) {
    const source = readFileSync(file, "utf8");
    faults.push(...headerFaultsOf(file, source), ...includeFaultsOf(file, source, includes));
  }
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) process.exit(1);
  console.log(`imports: ${files.length} files obey the table, without circular imports`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  process.chdir(join(import.meta.dirname ?? dirname(new URL(import.meta.url).pathname), ".."));
  main();
}
