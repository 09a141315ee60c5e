import { copyFileSync, existsSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { diskFailure, SetupFailure, tail } from "./failure.mjs";
import { hashFiles, listFiles, readJson, remove, writeJson } from "./files.mjs";
import { makeFolder } from "./folder.mjs";
import { findLibtorch, libraryMark } from "./libtorch.mjs";
import { findCompiler, loadProblem, run, which } from "./tools.mjs";

const FORMAT = 1;

export const addon = {
  /** Whether native/build holds an addon of these sources, this libtorch, these Node-API headers and this compiler. */
  isFresh({ root, env }) {
    const stamp = readJson(stampPath(root));
    if (stamp?.format !== FORMAT || !existsSync(join(root, "native/build", stamp.addon))) return false;
    if (stamp.platform !== process.platform || stamp.arch !== process.arch) return false;
    if (stamp.requested !== requestedLibtorch(env, stamp) || !existsSync(stamp.library)) return false;
    // A machine that has lost its compiler keeps the addon that it has.
    const compiler = findCompiler(env)?.identity ?? stamp.compiler;
    return stamp.compiler === compiler && stamp.mark === libraryMark(stamp.library) && stamp.hash === sourceHash(root);
  },

  async run(context) {
    const { root, env } = context;
    const compiler = expectCompiler(env);
    const cmake = expectCmake(env);
    const requested = requestedLibtorch(env, readJson(stampPath(root)));
    const libtorch = await findLibtorch(context, requested);
    const hash = sourceHash(root);
    await build(context, { compiler, cmake, libtorch });
    writeJson(stampPath(root), {
      format: FORMAT,
      addon: "batch_cam.node",
      libtorch: libtorch.path,
      source: libtorch.source,
      requested: libtorch.source === "LIBTORCH" ? requested : null,
      version: libtorch.version,
      include: libtorch.include,
      lib: libtorch.lib,
      library: libtorch.library,
      mark: libraryMark(libtorch.library),
      node: process.versions.node,
      nodeApi: Number(process.versions.napi),
      platform: process.platform,
      arch: process.arch,
      compilerPath: compiler.path,
      compiler: compiler.identity,
      hash,
    });
  },
};

/** A LIBTORCH of an earlier set-up stays in use in shells that do not set it; set to nothing, it is forgotten. */
const requestedLibtorch = (env, stamp) => (env.LIBTORCH ?? stamp?.requested) || null;

const stampPath = (root) => join(root, "native/build/stamp.json");

/** One hash over the addon's sources and the Node-API headers' version. */
function sourceHash(root) {
  const sources = listFiles(join(root, "native"), { skip: ["build"] }).filter((path) =>
    /\.(cc|h)$|(^|\/)CMakeLists\.txt$/.test(path),
  );
  return `${hashFiles(join(root, "native"), sources)} ${nodeApiHeaders(root).version}`;
}

function nodeApiHeaders(root) {
  try {
    const path = createRequire(join(root, "package.json")).resolve("node-api-headers/package.json");
    return { include: join(dirname(path), "include"), version: readJson(path).version };
  } catch {
    throw new SetupFailure("the package node-api-headers is not installed", "run `npm ci`, then `npm run setup`");
  }
}

async function build({ root, env, progress }, { compiler, cmake, libtorch }) {
  const folder = join(root, "native/build");
  const work = join(folder, "work");
  const running = join(folder, "interrupted");
  const settings = [root, compiler.identity, libtorch.path, libtorch.version, libraryMark(libtorch.library)].join(" ");
  // What a killed build leaves may be cut short; what another compiler or libtorch made, or a checkout before it was moved,
  // does not fit.
  if (existsSync(running) || readJson(join(work, "settings.json")) !== settings) remove(work);
  makeFolder(work);
  writeFileSync(running, "");
  writeJson(join(work, "settings.json"), settings);
  try {
    await progress.step("addon", async (say) => {
      say("configuring");
      await tool(cmake, configureArguments(root, { compiler, libtorch, work, env }), { root, env });
      const onLine = (line) => say(/^\[\s*\d+(\/\d+|%)\]/.exec(line)?.[0] ?? "compiling");
      await tool(cmake, ["--build", work, "--parallel", env.CMAKE_BUILD_PARALLEL_LEVEL ?? "2"], { root, env, onLine });
      await checkLoads(join(work, "batch_cam.node"), { root, env, libtorch });
      // Copied and renamed, so that a process that runs the old addon keeps its file.
      copyFileSync(join(work, "batch_cam.node"), join(folder, "batch_cam.node.new"));
      renameSync(join(folder, "batch_cam.node.new"), join(folder, "batch_cam.node"));
    });
  } finally {
    remove(running);
  }
}

function configureArguments(root, { compiler, libtorch, work, env }) {
  return [
    ...["-S", join(root, "native"), "-B", work, "-G", which("ninja", env) ? "Ninja" : "Unix Makefiles"],
    `-DCMAKE_CXX_COMPILER=${compiler.path}`,
    `-DTORCH_INCLUDE=${libtorch.include}`,
    `-DTORCH_LIB=${libtorch.lib}`,
    `-DNODE_API_INCLUDE=${nodeApiHeaders(root).include}`,
  ];
}

async function tool(command, args, { root, env, onLine }) {
  const { code, output } = await run(command, args, { cwd: root, env, onLine });
  if (code !== 0) throw explain(output, root);
}

async function checkLoads(path, { root, env, libtorch }) {
  const reason = await loadProblem(path, { env, root });
  if (!reason) return;
  throw new SetupFailure(
    `the addon was built but does not load with libtorch ${libtorch.version}: ${reason}`,
    `are the headers and the libraries of ${libtorch.path} from one build? Try another libtorch through LIBTORCH`,
  );
}

function expectCompiler(env) {
  const compiler = findCompiler(env);
  if (compiler) return compiler;
  throw new SetupFailure(
    env.CXX
      ? `no C++ compiler: CXX=${env.CXX} is not a program`
      : "no C++ compiler on PATH (looked for c++, g++, clang++)",
    "install one (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install), or name it in CXX",
  );
}

function expectCmake(env) {
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
  return new SetupFailure("the addon does not compile", `mend what the compiler names above (whole output: ${log})`, {
    details: errors.length > 0 ? errors.slice(0, 12).join("\n") : tail(output),
  });
}
