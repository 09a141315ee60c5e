import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * The command that runs the set-up from a working folder. `npm run setup` is a script of the checkout's package.json; a project that has
 * batch-cam installed or linked has only the command line.
 */
export function setupCommand(cwd = process.cwd()) {
  return packageName(cwd) === "batch-cam" ? "npm run setup" : "npx batch-cam setup";
}

/**
 * The name of the package that a folder belongs to, or undefined if it belongs to none.
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
