import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run-tests.mjs";

/**
 * Installs a version of Node ("22", "20.9.0") from npm's package `node` into a folder of the cache, unless it is there.
 *
 * @returns {Promise<{ version: string, executable: string, bin: string }>}
 * @param {string} version
 * @param {{ cache: string, say: (text: string) => void }} options
 */
export async function fetchNode(version, { cache, say }) {
  const folder = join(cache, `node-${version}`);
  const bin = join(folder, "node_modules/node/bin");
  const executable = join(bin, "node");
  if (!existsSync(executable)) {
    say(`fetching Node ${version} ...`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
    const args = ["install", "--no-audit", "--no-fund", "--loglevel=error", `node@${version}`];
    const { code, output } = await run("npm", args, { cwd: folder, env: process.env });
    if (code !== 0) {
      rmSync(folder, { recursive: true, force: true });
      throw new Error(`npm cannot install node@${version}: ${output.trim().split("\n").at(-1)}`);
    }
  }
  const { output } = await run(executable, ["--version"], { env: process.env });
  return { version: output.trim().replace(/^v/, ""), executable, bin };
}
