import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * The command that sets up from a working folder: `npm run setup` is a script of a checkout's own package.json. A project
 * that has batch-cam installed, or links a checkout, has the command line alone.
 */
export function setupCommand(cwd = process.cwd()) {
  return packageName(cwd) === "batch-cam" ? "npm run setup" : "npx batch-cam setup";
}

/**
 * The name of the package that a folder belongs to; undefined if it belongs to none.
 *
 * @param {string} folder
 * @returns {string | undefined}
 */
function packageName(folder) {
  try {
    return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).name;
  } catch {
    return dirname(folder) === folder ? undefined : packageName(dirname(folder));
  }
}
