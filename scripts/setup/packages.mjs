import { existsSync } from "node:fs";
import { join } from "node:path";
import { diskFailure, networkFailure, SetupFailure, tail } from "./failure.mjs";
import { readJson } from "./files.mjs";
import { run, which } from "./tools.mjs";

/** @import { FileStep } from "./types.d.ts" */

/** @type {FileStep} */
export const packages = {
  /** Whether node_modules holds what package-lock.json asks for. npm writes its own record there last, so a cut-off install shows. */
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
        "npm ci ended well, but node_modules does not hold what package-lock.json asks for",
        "delete node_modules and run `npm run setup` again; if it stays, `npm config list` may show what npm leaves out",
      );
    }
  },
};

/**
 * The npm that runs this script, else the one on PATH.
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
      "give yourself write access to it, or run from a folder that is yours (npm's cache: set npm_config_cache to one)",
    );
  }
  const lines = output.split("\n").filter((line) => /^npm (error|ERR!) \S/.test(line));
  const details = lines.slice(0, 12).join("\n") || tail(output);
  if (/EUSAGE/.test(output)) {
    return new SetupFailure(
      "npm ci refuses: package.json and package-lock.json do not agree",
      "run `npm install` where you changed package.json, or restore both files (git checkout package.json package-lock.json)",
      { details },
    );
  }
  return new SetupFailure("npm ci failed", "mend what npm names above, then run `npm run setup` again", { details });
}
