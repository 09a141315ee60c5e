import { createRequire } from "node:module";
import { join } from "node:path";
import { setupCommand } from "./command.mjs";
import { describeLibtorch } from "./libtorch.mjs";
import { ask, findCompiler, which } from "./tools.mjs";

/** @import { Context } from "./types.d.ts" */

/**
 * Lists what the set-up needs and whether it was found, one line each. `doctor` prints this if the engine is not built.
 *
 * @param {Pick<Context, "root" | "env">} context
 */
export function toolReport({ root, env }) {
  const command = setupCommand();
  const compiler = findCompiler(env);
  const python = which("python3", env);
  const pip = python !== null && ask(python, ["-m", "pip", "--version"], { env }).ok;
  const maker = which("ninja", env) ?? which("make", env);
  const libtorch = describeLibtorch({ root, env });
  return [
    line("Node", process.version, "20.9 or newer"),
    line("npm packages", hasPackages(root) && "installed", `${command} installs them`),
    line("C++ compiler", compiler?.path, "install g++ or clang++ (Debian, Ubuntu: apt install g++)"),
    line("cmake", which("cmake", env), "install it (apt install cmake, or pip install cmake)"),
    line("make or ninja", maker, "install one (apt install make)"),
    line("python3", python, "install Python 3, or set LIBTORCH to a libtorch of your own"),
    line("pip", pip && "found", "install it (apt install python3-pip), or set LIBTORCH"),
    "found" in libtorch ? line("libtorch", libtorch.found) : line("libtorch", null, libtorch.missing),
    line("batch-cam", `not built: run \`${command}\`, then \`npx batch-cam doctor\` says more`),
  ].join("\n");
}

/**
 * @param {string} what
 * @param {string | null | undefined | false} found
 * @param {string} [remedy]
 */
const line = (what, found, remedy) => `${what.padEnd(14)} ${found || `missing: ${remedy}`}`;

/**
 * Whether the npm packages that the set-up needs are installed, in this package's node_modules or in that of a project around it.
 *
 * @param {string} root
 */
function hasPackages(root) {
  try {
    return Boolean(createRequire(join(root, "package.json")).resolve("node-api-headers/package.json"));
  } catch {
    return false;
  }
}
