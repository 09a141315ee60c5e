import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Whether `npm run` in a folder means the scripts of batch-cam's own package.json: it is in a checkout. */
const isOwnPackage = (cwd: string): boolean => packageName(cwd) === "batch-cam";

/**
 * The command that sets up, as scripts/setup/command.mjs words it, which must do without a build: a project that has
 * batch-cam installed, or links a checkout, knows no `npm run setup`.
 */
export function setupCommand(cwd = process.cwd()): string {
  return isOwnPackage(cwd) ? "npm run setup" : "npx batch-cam setup";
}

/** The command that installs npm packages which are missing. */
export function installCommand(cwd = process.cwd()): string {
  return isOwnPackage(cwd) ? "npm ci" : "npm install";
}

function packageName(folder: string): unknown {
  try {
    return (JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { name?: unknown }).name;
  } catch {
    return dirname(folder) === folder ? undefined : packageName(dirname(folder));
  }
}
