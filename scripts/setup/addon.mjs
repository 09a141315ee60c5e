import { existsSync } from "node:fs";
import { join } from "node:path";
import { addonKey, buildAlone, holdsAddons, keepAddon, takeAddon, toolchainOf } from "./addon-cache.mjs";
import { addonSources, buildAddon, expectBuildTools, nodeApiHeaders } from "./build.mjs";
import { SetupFailure } from "./failure.mjs";
import { hashFiles, readJson, writeJson } from "./files.mjs";
import { findLibtorch, libraryMark } from "./libtorch.mjs";
import { findCompiler } from "./tools.mjs";

/** @import { BuildStep, Context } from "./types.d.ts" */

const FORMAT = 1;
const ADDON = "batch_cam.node";

/** @type {BuildStep} */
export const addon = {
  /** Whether native/build contains an addon of these sources, this libtorch, these Node-API headers and this compiler. */
  isFresh({ root, env }) {
    const stamp = readJson(stampPath(root));
    if (stamp?.format !== FORMAT || !existsSync(join(root, "native/build", ADDON))) return false;
    if (stamp.platform !== process.platform || stamp.arch !== process.arch) return false;
    if (stamp.requested !== requestedLibtorch(env, stamp) || !existsSync(stamp.library)) return false;
    // If the compiler is no longer installed, the existing addon is still used.
    const compiler = findCompiler(env)?.identity ?? stamp.compiler;
    return stamp.compiler === compiler && stamp.mark === libraryMark(stamp.library) && stamp.hash === sourceHash(root);
  },

  async run(context) {
    const { root, env } = context;
    const compiler = expectCompiler(env);
    // Missing tools are reported before libtorch is downloaded, unless the cache may have an addon, which needs no build.
    if (!holdsAddons(env)) expectBuildTools(env);
    const requested = requestedLibtorch(env, readJson(stampPath(root)));
    const libtorch = await findLibtorch(context, requested);
    const hash = sourceHash(root);
    const toolchain = toolchainOf({ libtorch, compiler, env });
    const key = addonKey(hash, toolchain);
    if (!(await takeKept(context, key))) {
      const build = async () => {
        if (await takeKept(context, key)) return; // another set-up may have built it while this one waited
        await buildAddon(context, { compiler, libtorch, toolchain, target: join(root, "native/build", ADDON) });
        keep(context, key, hash);
      };
      await buildAlone(key, build, context);
    }
    writeJson(stampPath(root), {
      format: FORMAT,
      addon: ADDON,
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

/**
 * Copies the addon from the cache, if it is there.
 *
 * @param {Context} context
 * @param {string} key
 */
async function takeKept(context, key) {
  const taken = await takeAddon(key, join(context.root, "native/build", ADDON), context);
  if (taken) context.progress.note("addon: copied from the cache of an earlier set-up of the same sources");
  return taken;
}

/**
 * @param {Context} context
 * @param {string} key
 * @param {string} hash
 */
function keep({ root, env, progress }, key, hash) {
  if (sourceHash(root) !== hash) return; // the sources were edited during the build, so the key does not describe the addon
  const problem = keepAddon(key, join(root, "native/build", ADDON), { env });
  if (problem) progress.note(`the addon was not stored for other checkouts: ${problem}`);
}

/**
 * The libtorch that LIBTORCH names, or the one that it named in an earlier set-up if it is not set now. Setting it to an empty text forgets
 * that one.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {{ requested: string | null } | null} stamp
 * @returns {string | null}
 */
const requestedLibtorch = (env, stamp) => (env.LIBTORCH ?? stamp?.requested) || null;

/** @param {string} root */
const stampPath = (root) => join(root, "native/build/stamp.json");

/**
 * One hash of the addon's sources and of the Node-API headers' version.
 *
 * @param {string} root
 */
const sourceHash = (root) => `${hashFiles(join(root, "native"), addonSources(root))} ${nodeApiHeaders(root).version}`;

/** @param {NodeJS.ProcessEnv} env */
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
