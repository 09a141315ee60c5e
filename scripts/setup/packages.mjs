import { existsSync } from "node:fs";
import { join } from "node:path";
import { diskFailure, networkFailure, SetupFailure, tail } from "./failure.mjs";
import { readJson } from "./files.mjs";
import { run, which } from "./tools.mjs";

/** @import { FileStep } from "./types.d.ts" */

/** @type {FileStep} */
export const packages = {
  /** Whether node_modules matches package-lock.json. npm writes its own record of it last, so an interrupted install is detected. */
  isFresh({ root }) {
    const wanted = readJson(join(root, "package-lock.json"))?.packages;
    if (!wanted) return true; // an installed package, not a checkout
    const installed = readJson(join(root, "node_modules/.package-lock.json"))?.packages ?? {};
    return Object.entries(wanted).every(([path, entry]) => {
      if (path === "") return true;
      if (installed[path] === undefined) return entry.optional === true || entry.peer === true;
      return installed[path].version === entry.version && existsSync(join(root, path));
    });
  },

  async run({ root, env, progress }) {
    const [command, ...first] = npmCommand(env);
    const args = [...first, "ci", "--include=dev", "--no-audit", "--no-fund", "--no-progress", "--loglevel=error"];
    await progress.step("npm packages", async () => {
      const { code, output } = await run(command, args, { cwd: root, env });
      if (code !== 0) throw explain(output);
    });
    if (!packages.isFresh({ root })) {
      throw new SetupFailure(
        "npm ci succeeded, but node_modules does not match package-lock.json",
        "delete node_modules and run `npm run setup` again; if that does not help, `npm config list` may show what npm leaves out",
      );
    }
  },
};

/**
 * The npm that runs this script, or else the one on PATH.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {[command: string, ...args: string[]]}
 */
function npmCommand(env) {
  const current = env.npm_execpath;
  if (current?.endsWith("npm-cli.js") && existsSync(current)) return [process.execPath, current];
  const npm = which("npm", env);
  if (npm) return [npm];
  throw new SetupFailure(
    "npm is not on PATH",
    "install Node with npm (most packages of Node bring it), then run `npm run setup`",
  );
}

/** @param {string} output */
function explain(output) {
  const known = diskFailure("npm", output, "node_modules") ?? networkFailure("npm", output);
  if (known) return known;
  const refused = /^npm (?:error|ERR!) code (EACCES|EPERM|EROFS)$/m.exec(output)?.[1];
  if (refused) {
    const path = /^npm (?:error|ERR!) path (.*)$/m.exec(output)?.[1] ?? "node_modules";
    return new SetupFailure(
      `npm may not write to ${path} (${refused})`,
      "give yourself write access to it, or run in a folder that you own (npm's cache: set npm_config_cache to one)",
    );
  }
  const lines = output.split("\n").filter((line) => /^npm (error|ERR!) \S/.test(line));
  const details = lines.slice(0, 12).join("\n") || tail(output);
  if (/EUSAGE/.test(output)) {
    return new SetupFailure(
      "npm ci failed because package.json and package-lock.json do not match",
      "run `npm install` if you changed package.json, or restore both files (git checkout package.json package-lock.json)",
      { details },
    );
  }
  return new SetupFailure("npm ci failed", "fix what npm reports above, then run `npm run setup` again", { details });
}
