// A cache of built addons, shared by all checkouts and installations. An entry is one file, `<key>-<sha256 of the file>.node`: the key
// identifies what it was built from, the hash reveals damage, and a single rename makes writing it atomic.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { cacheRoot } from "./cache-root.mjs";
import { remove, writeWhole } from "./files.mjs";
import { makeFolder } from "./folder.mjs";
import { libraryMark } from "./libtorch.mjs";
import { withLock } from "./lock.mjs";
import { loadProblem } from "./tools.mjs";

/** @import { Context, ToolchainMarks } from "./types.d.ts" */

/** An addon takes less than 2 MB. Several entries let checkouts of different branches and compilers alternate without a rebuild. */
const KEPT_ENTRIES = 16;
const ENTRY = /^([0-9a-f]{32})-([0-9a-f]{64})\.node$/;
/** Locks and temporary files of processes that were killed. */
const LEFT_OVER = /\.(lock\.\d+|tmp)$/;
const LEFT_OVER_MS = 24 * 3_600_000;

/** Variables that change the result of cmake and the compilers for the same sources. */
const BUILD_VARIABLES = [
  ...["CXXFLAGS", "LDFLAGS", "CPATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "SDKROOT"],
  ...["CMAKE_BUILD_TYPE", "CMAKE_TOOLCHAIN_FILE", "CMAKE_PREFIX_PATH", "MACOSX_DEPLOYMENT_TARGET"],
];

/** @param {NodeJS.ProcessEnv} env */
const folderOf = (env) => join(cacheRoot(env), "addons");

/**
 * Everything that compiles and links the addon, as one text. It includes libtorch's path, by which the addon finds its libraries.
 *
 * @param {ToolchainMarks} toolchain
 */
export function toolchainOf({ libtorch, compiler, env }) {
  const variables = BUILD_VARIABLES.map((name) => `${name}=${env[name] ?? ""}`);
  const parts = [libtorch.path, libtorch.lib, libtorch.version, libraryMark(libtorch.library), compiler.identity];
  return JSON.stringify([...parts, process.platform, process.arch, ...variables]);
}

/**
 * Names an addon by everything that it is built from: the hash of its sources and the toolchain.
 *
 * @param {string} sources
 * @param {string} toolchain
 */
export const addonKey = (sources, toolchain) =>
  createHash("sha256")
    .update(JSON.stringify([sources, toolchain]))
    .digest("hex")
    .slice(0, 32);

/**
 * Whether the cache contains an addon, of whatever sources.
 *
 * @param {NodeJS.ProcessEnv} env
 */
export const holdsAddons = (env) => entries(folderOf(env)).length > 0;

/**
 * Copies the cached addon of a key to `target`; returns false if the cache has none. Each candidate is checked by its hash and by loading
 * it, and removed if it fails.
 *
 * @param {string} key
 * @param {string} target
 * @param {Pick<Context, "env" | "root">} context
 * @returns {Promise<boolean>}
 */
export async function takeAddon(key, target, { env, root }) {
  const folder = folderOf(env);
  for (const entry of entries(folder).filter((each) => each.key === key)) {
    const path = join(folder, entry.name);
    const bytes = readOrNull(path);
    if (bytes === null) continue;
    const temporary = `${target}.new`;
    if (sha256(bytes) === entry.sum) {
      writeWhole(temporary, bytes);
      if ((await loadProblem(temporary, { env, root })) === null) {
        renameSync(temporary, target); // a rename, so that a process that runs the old addon keeps its file
        tryTo(() => utimesSync(path, new Date(), new Date())); // marks it as used: the least recently used are removed first
        return true;
      }
      remove(temporary);
    }
    tryTo(() => remove(path));
  }
  return false;
}

/**
 * Stores a built addon for other checkouts. Because the cache is only a convenience, it returns the reason if it cannot be written, and
 * null otherwise.
 *
 * @param {string} key
 * @param {string} built
 * @param {Pick<Context, "env">} context
 * @returns {string | null}
 */
export function keepAddon(key, built, { env }) {
  try {
    const folder = folderOf(env);
    makeFolder(folder);
    const bytes = readFileSync(built);
    const path = join(folder, `${key}-${sha256(bytes)}.node`);
    const temporary = `${path}.${process.pid}.tmp`;
    writeWhole(temporary, bytes);
    renameSync(temporary, path);
    sweep(folder);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * Runs `build` while no other set-up builds the same addon; a set-up that waited then finds the addon in the cache. If the cache cannot be
 * written, each set-up builds by itself.
 *
 * @param {string} key
 * @param {() => Promise<void>} build
 * @param {Pick<Context, "env" | "progress">} context
 */
export async function buildAlone(key, build, { env, progress }) {
  const folder = folderOf(env);
  try {
    makeFolder(folder);
    const probe = join(folder, `${key}.${process.pid}.tmp`);
    writeWhole(probe, "");
    remove(probe);
  } catch {
    return build();
  }
  return withLock(join(folder, `${key}.lock`), build, {
    onWait: ({ pid }) => progress.note(`waiting for another set-up (process ${pid}) that builds the same addon`),
  });
}

/**
 * Removes all but the newest entries, and files that killed processes left.
 *
 * @param {string} folder
 */
function sweep(folder) {
  const newestFirst = entries(folder).sort((a, b) => b.used - a.used);
  for (const { name } of newestFirst.slice(KEPT_ENTRIES)) tryTo(() => remove(join(folder, name)));
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (LEFT_OVER.test(name) && modified(path) < Date.now() - LEFT_OVER_MS) tryTo(() => remove(path));
  }
}

/**
 * @param {string} folder
 * @returns {{ name: string, key: string, sum: string, used: number }[]}
 */
function entries(folder) {
  return (tryTo(() => readdirSync(folder)) ?? []).flatMap((name) => {
    const [, key, sum] = ENTRY.exec(name) ?? [];
    return key && sum ? [{ name, key, sum, used: modified(join(folder, name)) }] : [];
  });
}

/**
 * The time at which a file was last written or an entry last used, or 0 if it has been removed meanwhile.
 *
 * @param {string} path
 */
const modified = (path) => tryTo(() => statSync(path).mtimeMs) ?? 0;
/** @param {string} path */
const readOrNull = (path) => tryTo(() => readFileSync(path)) ?? null;
/** @param {Buffer} bytes */
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/**
 * @template Result
 * @param {() => Result} action
 * @returns {Result | undefined}
 */
function tryTo(action) {
  try {
    return action();
  } catch {
    return undefined;
  }
}
