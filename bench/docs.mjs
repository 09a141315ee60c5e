// Writes the tables of docs/benchmarks.md, between `<!-- bench: NAME -->` and `<!-- end of bench -->`, and the figure of training steps
// from the results in docs/benchmarks/. `--check` writes nothing and fails if one of them is out of date.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { benchmarkTables, stepFigure } from "./tables.mjs";

/** @import { Results } from "./types.d.ts" */

const DOCS = fileURLToPath(new URL("../docs/", import.meta.url));

/** The results of every kind of processor, in the order of their names. @returns {Results[]} */
const allResults = () =>
  readdirSync(join(DOCS, "benchmarks"))
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(DOCS, "benchmarks", name), "utf8")));

/**
 * Fills in the tables of a page.
 *
 * @param {string} text
 * @param {Record<string, string>} tables
 */
function withTables(text, tables) {
  return text.replace(/<!-- bench: (\w+) -->\n[\s\S]*?<!-- end of bench -->/g, (_, name) => {
    if (tables[name] === undefined) throw new Error(`bench/docs: there is no table "${name}"`);
    return `<!-- bench: ${name} -->\n${tables[name]}\n<!-- end of bench -->`;
  });
}

const results = allResults();
const page = join(DOCS, "benchmarks.md");
const { svg, png } = stepFigure(results);
const [figure, picture] = ["svg", "png"].map((kind) => join(DOCS, `images/training-steps.${kind}`));
const filled = withTables(readFileSync(page, "utf8"), benchmarkTables(results));
const current = (/** @type {string} */ path, /** @type {string} */ text) =>
  existsSync(path) && readFileSync(path, "utf8") === text;
const stale = [
  ...(current(page, filled) ? [] : [page]),
  // The PNG depends on the renderer's version, so only the SVG that it is made of is compared.
  ...(figure === undefined || current(figure, svg) ? [] : [figure]),
];
if (!process.argv.includes("--check")) {
  writeFileSync(page, filled);
  if (stale.length > 0 && figure && picture) {
    writeFileSync(figure, svg);
    writeFileSync(picture, png);
  }
} else if (stale.length > 0) {
  process.stderr.write(`${stale.join(", ")}: out of date with docs/benchmarks/; run \`npm run generate\`\n`);
  process.exitCode = 1;
}
