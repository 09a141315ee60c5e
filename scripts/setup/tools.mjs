import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { tail } from "./failure.mjs";
import { lendLocks } from "./lock.mjs";

/** @import { Compiler, Context } from "./types.d.ts" */

const GUARD = fileURLToPath(new URL("guard.mjs", import.meta.url));
const KEPT_OUTPUT = 4 * 1024 * 1024;

/**
 * The full path of a program on PATH, or of a program that is given by its path; null if it does not exist.
 *
 * @param {string} name
 * @param {NodeJS.ProcessEnv} env
 * @returns {string | null}
 */
export function which(name, env) {
  const candidates = name.includes("/")
    ? [name]
    : (env.PATH ?? "").split(delimiter).map((folder) => join(folder || ".", name));
  return candidates.find(isExecutable) ?? null;
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * Runs a command under the guard until it ends. `onLine` is called with each line of its output.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env: NodeJS.ProcessEnv, onLine?: (line: string) => void }} options
 * @returns {Promise<{ code: number | null, output: string }>}
 */
export function run(command, args, { cwd, env, onLine = () => {} }) {
  return new Promise((resolve, reject) => {
    // Detached, so that a kill of this whole process group leaves the guard alive to end the command.
    const child = spawn(process.execPath, [GUARD, command, ...args], { cwd, env, stdio: "pipe", detached: true });
    if (child.pid) lendLocks(child.pid);
    let output = "";
    let line = "";
    /** @param {string} chunk */
    const take = (chunk) => {
      output = (output + chunk).slice(-KEPT_OUTPUT);
      const lines = (line + chunk).split(/\r?\n|\r/);
      line = lines.pop() ?? "";
      lines.forEach(onLine);
    };
    child.stdout.setEncoding("utf8").on("data", take);
    child.stderr.setEncoding("utf8").on("data", take);
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}

/**
 * Runs a program briefly; returns its output, and whether it ended in time.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env: NodeJS.ProcessEnv, cwd?: string, timeout?: number }} options
 */
export function ask(command, args, { env, cwd, timeout = 60_000 }) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { env, cwd, timeout, encoding: "utf8" });
  return { ok: status === 0, output: stdout ?? "", problem: error?.message ?? (stderr ?? "").trim() };
}

/**
 * The C++ compiler that the set-up uses: $CXX, or else c++, g++ or clang++ on PATH; null if none is installed.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {Compiler | null}
 */
export function findCompiler(env) {
  const path = env.CXX ? which(env.CXX, env) : ["c++", "g++", "clang++"].map((name) => which(name, env)).find(Boolean);
  if (!path) return null;
  const real = realpathSync(path);
  const { size, mtimeMs } = statSync(real);
  return { path, identity: `${real} ${size} ${mtimeMs}` };
}

const LOAD = "process.dlopen({ exports: {} }, process.argv[1], require('node:os').constants.dlopen.RTLD_NOW)";

/**
 * Loads a shared library in a separate Node process, resolving every symbol. Returns the loader's error message, or null if the library
 * loads as an addon.
 *
 * @param {string} path
 * @param {Pick<Context, "env" | "root">} context
 * @returns {Promise<string | null>}
 */
export async function loadProblem(path, { env, root }) {
  const { code, output } = await run(process.execPath, ["-e", LOAD, path], { cwd: root, env });
  return code === 0 ? null : (/^Error: (.*)$/m.exec(output)?.[1] ?? tail(output, 3));
}
