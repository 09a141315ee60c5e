import { copyFileSync, existsSync, renameSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { diskFailure, SetupFailure, tail } from "./failure.mjs";
import { hashFiles, listFiles, readJson, remove, writeJson } from "./files.mjs";
import { makeFolder } from "./folder.mjs";
import { buildProgress, compilerJobs } from "./jobs.mjs";
import { loadProblem, run, which } from "./tools.mjs";

/** @import { Context, Libtorch, Toolchain } from "./types.d.ts" */

/**
 * The addon's sources, relative to native/.
 *
 * @param {string} root
 */
export const addonSources = (root) =>
  listFiles(join(root, "native"), { skip: ["build"] }).filter((path) => /\.(cc|h)$|(^|\/)CMakeLists\.txt$/.test(path));

/**
 * @param {string} root
 * @returns {{ include: string, version: string }}
 */
export function nodeApiHeaders(root) {
  try {
    const path = createRequire(join(root, "package.json")).resolve("node-api-headers/package.json");
    return { include: join(dirname(path), "include"), version: readJson(path).version };
  } catch {
    throw new SetupFailure(
      "the package node-api-headers is not installed",
      "install the packages (`npm ci` in a checkout, else `npm install`), then run `npm run setup`",
    );
  }
}

/**
 * Compiles the addon in native/build/work, where only files that changed since the last build are compiled again, and copies it to
 * `target`.
 *
 * @param {Context} context
 * @param {Omit<Toolchain, "env"> & { toolchain: string, target: string }} from
 */
export async function buildAddon({ root, env, progress }, { compiler, libtorch, toolchain, target }) {
  const cmake = expectBuildTools(env);
  const folder = join(root, "native/build");
  const work = join(folder, "work");
  const running = join(folder, "interrupted");
  if (existsSync(running) || !isUsable(work, root, toolchain)) remove(work);
  makeFolder(work);
  writeFileSync(running, "");
  writeJson(join(work, "settings.json"), { root, toolchain, sources: sourceSums(root) });
  try {
    await progress.step("addon", async (say) => {
      say("configuring");
      await tool(cmake, configureArguments(root, { compiler, libtorch, work, env }), { root, env });
      const files = readJson(join(work, "compile_commands.json"))?.length ?? 0;
      /** @param {string} line */
      const onLine = (line) => say(buildProgress(line, files) ?? "compiling");
      const building = { root, env: { ...env, NINJA_STATUS: "[%f/%t] " }, onLine };
      await tool(cmake, ["--build", work, "--parallel", String(compilerJobs(env))], building);
      const built = join(work, "batch_cam.node");
      await checkLoads(built, { root, env, libtorch });
      // The file is copied and then renamed, so that a process that runs the old addon keeps its file.
      copyFileSync(built, `${target}.new`);
      renameSync(`${target}.new`, target);
    });
  } finally {
    remove(running);
  }
}

/**
 * Whether the objects of an earlier build can be used again. They cannot if the compiler, libtorch or the path of the checkout has changed,
 * or if a source was replaced by a file with an older time, because ninja and make detect changes only by the time.
 *
 * @param {string} work
 * @param {string} root
 * @param {string} toolchain
 */
function isUsable(work, root, toolchain) {
  const path = join(work, "settings.json");
  const before = readJson(path);
  if (before?.root !== root || before.toolchain !== toolchain) return false;
  const since = statSync(path).mtimeMs;
  return Object.entries(sourceSums(root)).every(
    ([name, sum]) => before.sources[name] === sum || statSync(join(root, "native", name)).mtimeMs > since,
  );
}

/** @param {string} root */
const sourceSums = (root) =>
  Object.fromEntries(addonSources(root).map((name) => [name, hashFiles(join(root, "native"), [name])]));

/**
 * @param {string} root
 * @param {Toolchain & { work: string }} from
 */
function configureArguments(root, { compiler, libtorch, work, env }) {
  return [
    ...["-S", join(root, "native"), "-B", work, "-G", which("ninja", env) ? "Ninja" : "Unix Makefiles"],
    `-DCMAKE_CXX_COMPILER=${compiler.path}`,
    `-DTORCH_INCLUDE=${libtorch.include}`,
    `-DTORCH_LIB=${libtorch.lib}`,
    `-DNODE_API_INCLUDE=${nodeApiHeaders(root).include}`,
  ];
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {Pick<Context, "root" | "env"> & { onLine?: (line: string) => void }} options
 */
async function tool(command, args, { root, env, onLine = () => {} }) {
  const { code, output } = await run(command, args, { cwd: root, env, onLine });
  if (code !== 0) throw explain(output, root);
}

/**
 * @param {string} path
 * @param {Pick<Context, "root" | "env"> & { libtorch: Libtorch }} context
 */
async function checkLoads(path, { root, env, libtorch }) {
  const reason = await loadProblem(path, { env, root });
  if (!reason) return;
  throw new SetupFailure(
    `the addon was built but does not load with libtorch ${libtorch.version}: ${reason}`,
    `are the headers and the libraries of ${libtorch.path} from one build? Try another libtorch through LIBTORCH`,
  );
}

/**
 * The path of cmake. @throws SetupFailure if cmake, or ninja and make, are missing
 *
 * @param {NodeJS.ProcessEnv} env
 */
export function expectBuildTools(env) {
  const cmake = which("cmake", env);
  if (!cmake) {
    throw new SetupFailure(
      "cmake is not on PATH",
      "install it (Debian, Ubuntu: apt install cmake; Fedora: dnf install cmake; macOS: brew install cmake; anywhere: pip install cmake)",
    );
  }
  if (which("ninja", env) || which("make", env)) return cmake;
  throw new SetupFailure(
    "neither ninja nor make is on PATH",
    "install one (Debian, Ubuntu: apt install ninja-build; Fedora: dnf install ninja-build; macOS: xcode-select --install)",
  );
}

/**
 * @param {string} output
 * @param {string} root
 */
function explain(output, root) {
  const log = join(root, "native/build/build.log");
  const disk = diskFailure("the compiler", output, join(root, "native/build"));
  if (disk) return disk;
  writeFileSync(log, output);
  if (/Killed signal terminated program|out of memory|ended by SIGKILL/i.test(output)) {
    return new SetupFailure(
      "the compiler was killed: the machine ran out of memory",
      "close other programs, or compile one file at a time: CMAKE_BUILD_PARALLEL_LEVEL=1 npm run setup",
    );
  }
  const oldCmake = /CMake (\S+) or higher is required\.\s+You are running version\s+(\S+)/.exec(output);
  if (oldCmake) {
    return new SetupFailure(
      `cmake ${oldCmake[2]} is too old: ${oldCmake[1]} or newer is needed`,
      "install a newer one, for example: pip install cmake",
    );
  }
  const errors = output.split("\n").filter((line) => /\berror\b|undefined reference|cannot find/i.test(line));
  return new SetupFailure(
    "the addon does not compile",
    `fix the errors that the compiler reports above (whole output: ${log})`,
    {
      details: errors.length > 0 ? errors.slice(0, 12).join("\n") : tail(output),
    },
  );
}
