#!/usr/bin/env node
// Enforces ARCHITECTURE.md's import table: every import of every source file, tests apart, must stand in its folder's row.
// And no file of native/ includes a header that declares every operator of libtorch's.
// Fails where it sees no file, where a folder has no row, and where a row has no folder.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";

const EVERYWHERE = [
  "src/errors.ts",
  "src/nearest-name.ts",
  "src/arguments.ts",
  "src/checksum.ts",
  "src/atomic-file.ts",
  "src/regular-file.ts",
  "src/counted.ts",
];
const IMPORT = /^\s*(?:import|export)\s+(type\s)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"|import\(\s*"([^"]+)"\s*\)/gm;

/** The table's rows: place -> { allowed places, places for types alone, npm packages }. */
export function readTable(markdown) {
  const block = markdown.split("<!-- import-table -->")[1]?.match(/```\n([\s\S]*?)```/)?.[1];
  if (block === undefined) throw new Error("ARCHITECTURE.md has no import table");
  const rows = block.split("\n").flatMap((line) => {
    const match = line.match(/^(src\/\S+)\s+.*?\s- (.*)$/);
    return match ? [{ place: match[1].replace(/\/$/, ""), rule: match[2].trim() }] : [];
  });
  const places = rows.map(({ place }) => place);
  return new Map(
    rows.map(({ place, rule }, index) => {
      const [own, packages = ""] = rule.split("; npm: ");
      return [place, { ...ruleOf(own, places, index), packages: packages.split(", ").filter(Boolean) }];
    }),
  );
}

function ruleOf(rule, places, index) {
  const named = (text) =>
    places.filter((place) =>
      new RegExp(`(^|[ ,])${place.replace(/^src\//, "").replace(/\.ts$/, "")}([ ,]|$)`).test(text),
    );
  const but = (list) => list.filter((place) => place !== "src/native");
  if (rule.startsWith("anything in src but native")) return { places: but(places), types: [] };
  if (rule.startsWith("all src/ above but native")) return { places: but(places.slice(0, index)), types: [] };
  if (rule.startsWith("the same, and")) return { places: but(places.slice(0, index)), types: [] };
  if (rule.startsWith("types of")) return { places: [], types: named(rule) };
  return { places: named(rule), types: [] };
}

/** Faults of one file, as "file:line: what is wrong". */
export function faultsOf(file, source, table) {
  const place = placeOf(file, table);
  if (place === undefined) return [`${file}: its folder has no row in the import table`];
  const rule = table.get(place);
  const faults = [];
  for (const match of source.matchAll(IMPORT)) {
    const target = match[2] ?? match[3];
    const line = source.slice(0, match.index).split("\n").length + (match[0].match(/^\n*/)?.[0].length ?? 0);
    if (target.endsWith(".node") && place !== "src/native")
      faults.push(`${file}:${line}: only src/native may load the addon`);
    if (!target.startsWith(".")) {
      const name = target.match(/^(?:@[^/]+\/)?[^/]+/)?.[0];
      if (!target.startsWith("node:") && !rule.packages.includes(name))
        faults.push(`${file}:${line}: ${place} may not import the package ${name}`);
      continue;
    }
    const path = relative(".", resolve(dirname(file), target))
      .split(sep)
      .join("/");
    const to = placeOf(path, table);
    if (to === place || EVERYWHERE.includes(path)) continue;
    if (to !== undefined && (rule.places.includes(to) || (match[1] && rule.types.includes(to)))) continue;
    const kind = to !== undefined && rule.types.includes(to) ? "more than types" : (to ?? path);
    faults.push(`${file}:${line}: ${place} may not import ${kind} (${target})`);
  }
  return faults;
}

/** Headers of libtorch's that declare every operator: each takes the compiler as long as all else in a file. */
const EVERY_OPERATOR =
  /^\s*#\s*include\s*[<"]((?:ATen\/(?:ATen|Functions|NativeFunctions)|torch\/(?:all|torch|extension))\.h)[>"]/gm;

/** Faults of one file of native/. */
export function headerFaultsOf(file, source) {
  return [...source.matchAll(EVERY_OPERATOR)].map((match) => {
    const line = source.slice(0, match.index + match[0].indexOf("#")).split("\n").length;
    return `${file}:${line}: ${match[1]} declares every operator; include ATen/core/Tensor.h, and ATen/ops/<name>.h for each that is called`;
  });
}

function placeOf(path, table) {
  if (table.has(path)) return path;
  const folder = path.split("/").slice(0, 2).join("/");
  return table.has(folder) ? folder : undefined;
}

function filesIn(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = `${folder}/${name}`;
    if (statSync(path).isDirectory()) return path === "native/build" ? [] : filesIn(path);
    return [path];
  });
}

const isSource = (path) => /\.tsx?$/.test(path) && !/\.test\.tsx?$/.test(path);

function main() {
  const table = readTable(readFileSync("ARCHITECTURE.md", "utf8"));
  const files = existsSync("src") ? filesIn("src").filter(isSource) : [];
  const faults = files.flatMap((file) => faultsOf(file, readFileSync(file, "utf8"), table));
  if (files.length === 0) faults.push("src/: no source file found; the check would check nothing");
  for (const place of table.keys())
    if (!existsSync(place)) faults.push(`ARCHITECTURE.md: ${place} is in the table but not in the tree`);
  for (const file of filesIn("native").filter((path) => /\.(cc|h)$/.test(path)))
    faults.push(...headerFaultsOf(file, readFileSync(file, "utf8")));
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) process.exit(1);
  console.log(`imports: ${files.length} files obey the table`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  process.chdir(join(import.meta.dirname ?? dirname(new URL(import.meta.url).pathname), ".."));
  main();
}
