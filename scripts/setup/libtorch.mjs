import { existsSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { SetupFailure } from "./failure.mjs";
import { ask, loadProblem, which } from "./tools.mjs";
import { cachedFolder, expectWholeCache, fetchLibtorch, PINNED_VERSION } from "./wheels.mjs";

const MINIMUM = { major: 2, minor: 7 };
const EXTENSION = process.platform === "darwin" ? "dylib" : "so";
const PASSED_OVER = {
  LIBTORCH: "the libtorch of the last set-up",
  python3: "python3's torch",
  cache: "the cached libtorch",
};
const OWN_COPY =
  "unset LIBTORCH to let set-up fetch one, or point it at a libtorch 2.7 or newer (2.11 is the tested version)";

/**
 * Finds the libtorch to build against: the requested one, the torch of python3, the cached copy, or wheels that are downloaded into the
 * cache. If the one that $LIBTORCH names cannot be used, that is an error; any other is skipped with a note.
 *
 * @param {Context} context
 * @param {string | null} requested
 * @returns {Promise<Libtorch>}
 */
export async function findLibtorch(context, requested) {
  const { env, progress } = context;
  if (env.LIBTORCH) return checkLoads(inspect(resolve(env.LIBTORCH), "LIBTORCH"), context);
  const python = askPython(context);
  /** @type {[LibtorchSource, string | null | undefined][]} */
  const places = [
    ["LIBTORCH", requested],
    ["python3", python?.torch],
    ["cache", cachedFolder(env)],
  ];
  for (const [source, folder] of places) {
    if (!folder || (source === "cache" && !existsSync(folder))) continue;
    try {
      const libtorch = inspect(folder, source);
      if (source === "cache") expectWholeCache(env);
      return await checkLoads(libtorch, context);
    } catch (error) {
      if (!(error instanceof SetupFailure)) throw error;
      progress.note(`${PASSED_OVER[source]} is skipped: ${error.message}`);
    }
  }
  await fetchLibtorch(context, python, (folder) => inspect(folder, "cache"));
  return checkLoads(inspect(cachedFolder(env), "cache"), context);
}

/**
 * The libtorch that `findLibtorch` would use if nothing was set up before. Nothing is loaded or downloaded.
 *
 * @param {Pick<Context, "env" | "root">} context
 * @returns {{ found: string } | { missing: string }} a description of it, or the reason why there is none and the remedy
 */
export function describeLibtorch(context) {
  const { env } = context;
  if (env.LIBTORCH) return describeFolder(resolve(env.LIBTORCH), "LIBTORCH");
  const torch = askPython(context)?.torch;
  const installed = torch ? describeFolder(torch, "python3") : null;
  if (installed !== null && "found" in installed) return installed;
  const target = cachedFolder(env);
  if (existsSync(target)) return describeFolder(target, "cache");
  const { major, minor } = MINIMUM;
  return { missing: `${major}.${minor} or newer is needed; the set-up downloads ${PINNED_VERSION} into ${target}` };
}

/**
 * @param {string} path
 * @param {LibtorchSource} source
 * @returns {{ found: string } | { missing: string }}
 */
function describeFolder(path, source) {
  try {
    return { found: `${inspect(path, source).version} in ${path} (from ${source})` };
  } catch (error) {
    if (!(error instanceof SetupFailure)) throw error;
    return { missing: `${error.message}; ${error.remedy}` };
  }
}

/**
 * Describes a libtorch folder: { path, source, include, lib, version, library }. @throws SetupFailure if it cannot be used
 *
 * @param {string} path
 * @param {LibtorchSource} source
 * @returns {Libtorch}
 */
export function inspect(path, source) {
  const include = join(path, "include");
  const lib = join(path, "lib");
  const library = join(lib, `libtorch_cpu.${EXTENSION}`);
  /** @param {string} cause */
  const wrong = (cause) => new SetupFailure(`${source === "LIBTORCH" ? "LIBTORCH=" : ""}${path}: ${cause}`, OWN_COPY);
  if (!existsSync(path)) throw wrong("no such folder");
  if (!existsSync(library)) throw wrong(`lib/libtorch_cpu.${EXTENSION} is not in it${nearMiss(path)}`);
  if (!existsSync(join(include, "ATen/ATen.h"))) throw wrong("the headers are not in it (include/ATen/ATen.h)");
  const version = versionOf(path);
  if (!version) throw wrong("its version is unknown (there is no version.py, build-version or torch/version.h)");
  if (isOlder(version))
    throw wrong(`this is libtorch ${version}, and batch-cam needs ${MINIMUM.major}.${MINIMUM.minor} or newer`);
  if (hasOldAbi(lib)) throw wrong("it was built with the pre-C++11 ABI of libstdc++");
  return { path, source, include, lib, version, library };
}

/** @param {string} path */
function nearMiss(path) {
  const inner = ["torch", "libtorch"].map((name) => join(path, name)).find((folder) => existsSync(join(folder, "lib")));
  return inner ? `; did you mean ${inner}?` : "";
}

/**
 * "2.11.0+cu130", read from a Python package, a release archive or the headers, or null if none of them contains a version.
 *
 * @param {string} path
 * @returns {string | null}
 */
export function versionOf(path) {
  /** @param {string} name */
  const read = (name) => (existsSync(join(path, name)) ? readFileSync(join(path, name), "utf8") : "");
  const python = /^__version__\s*=\s*['"]([^'"]+)/m.exec(read("version.py"))?.[1];
  const archive = /^\d+\.\d+\S*/.exec(read("build-version"))?.[0];
  const header = read("include/torch/headeronly/version.h") + read("include/torch/csrc/api/include/torch/version.h");
  const parts = ["MAJOR", "MINOR", "PATCH"].map(
    (part) => new RegExp(`#define TORCH_VERSION_${part} (\\d+)`).exec(header)?.[1],
  );
  return python ?? archive ?? (parts.includes(undefined) ? null : parts.join("."));
}

/** @param {string} version */
function isOlder(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major < MINIMUM.major || (major === MINIMUM.major && minor < MINIMUM.minor);
}

/**
 * The symbol names of libc10 show how std::string was compiled: `RKSs` belongs to the old ABI.
 *
 * @param {string} lib
 */
function hasOldAbi(lib) {
  const file = join(lib, "libc10.so");
  return existsSync(file) && readFileSync(file).includes("torchCheckFailEPKcS2_jRKSs\0");
}

/**
 * Loads libtorch_cpu in a separate process, because a folder may look complete and lack a library that it depends on.
 *
 * @param {Libtorch} libtorch
 * @param {Context} context
 */
async function checkLoads(libtorch, { env, root, progress }) {
  await progress.step(`libtorch ${libtorch.version} in ${libtorch.path}`, async () => {
    const reason = await loadProblem(libtorch.library, { env, root });
    // libtorch_cpu is not an addon. If it loads, Node refuses it for that reason; any other message is an error of the loader.
    if (reason && !/did not self-register/i.test(reason)) {
      throw new SetupFailure(
        `libtorch ${libtorch.version} in ${libtorch.path} does not load: ${reason}`,
        loadRemedy(reason),
      );
    }
  });
  return libtorch;
}

/** @param {string} reason */
function loadRemedy(reason) {
  if (/lib(cudart|cupti)/.test(reason)) {
    return "install nvidia-cuda-runtime and nvidia-cuda-cupti next to that torch (with pip, in the versions it requires), or unset LIBTORCH";
  }
  if (/GLIBC|musl/i.test(reason))
    return "this system's C library is older than that libtorch needs: use a newer system or image";
  return OWN_COPY;
}

const PYTHON_PROBE = `
import sys, json
sys.path = [p for p in sys.path if p]
import importlib.util as u
def folder(name):
    try:
        spec = u.find_spec(name)
        return list(spec.submodule_search_locations)[0] if spec else None
    except Exception:
        return None
print("probe " + json.dumps({"version": list(sys.version_info[:2]), "torch": folder("torch"), "pip": folder("pip") is not None}))
`;

/** @import { Context, Libtorch, LibtorchSource, Python } from "./types.d.ts" */

/**
 * The packages of python3, found without importing torch: { executable, version, torch, pip }, or null if python3 is missing or broken.
 *
 * @param {Pick<Context, "env" | "root">} context
 * @returns {Python | null}
 */
function askPython({ env, root }) {
  const executable = which("python3", env);
  if (!executable) return null;
  const { output } = ask(executable, ["-c", PYTHON_PROBE], { env, cwd: root });
  const line = /^probe (.*)$/m.exec(output)?.[1];
  return line ? { executable, ...JSON.parse(line) } : null;
}

/**
 * A short text that changes if the file changes.
 *
 * @param {string} library
 */
export function libraryMark(library) {
  const { size, mtimeMs } = statSync(library);
  return `${size} ${Math.round(mtimeMs)}`;
}
