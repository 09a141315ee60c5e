import { existsSync, readdirSync, renameSync, statfsSync } from "node:fs";
import { dirname, join } from "node:path";
import { cacheRoot } from "./cache-root.mjs";
import { diskFailure, networkFailure, SetupFailure, systemError, tail } from "./failure.mjs";
import { folderSize, nearestExisting, remove } from "./files.mjs";
import { makeFolder } from "./folder.mjs";
import { withLock } from "./lock.mjs";
import { run } from "./tools.mjs";
import { damagedFile, surplus } from "./whole.mjs";

/** @import { Context, Python } from "./types.d.ts" */

/** The libtorch version that the set-up downloads; ARCHITECTURE.md gives the reasons. */
export const PINNED_VERSION = "2.11.0";
const GB = 1e9;
const LINUX_X64 = process.platform === "linux" && process.arch === "x64";
/** On Linux x86-64, the wheel's libtorch_cpu.so does not load without the two CUDA libraries, even without a GPU. */
const WHEELS = [
  `torch==${PINNED_VERSION}`,
  ...(LINUX_X64 ? ["nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"] : []),
];
/** The wheels and their unpacked files are on the disk at the same time. */
const NEEDED_BYTES = process.platform === "linux" ? 2.5 * GB : 1 * GB;
/** CPython versions for which torch has wheels. For any other, pip is asked for the wheels of 3.12, because only the C++ part is used. */
const WHEEL_PYTHONS = { oldest: 10, newest: 14 };
const OTHER_WAY = "or set LIBTORCH to a folder of libtorch 2.7 or newer (with include/ and lib/)";
const OTHER_PLACE = `or set BATCH_CAM_CACHE to a folder that you may write to, ${OTHER_WAY}`;

/**
 * The folder of the downloaded libtorch for this platform, shared by all checkouts.
 *
 * @param {NodeJS.ProcessEnv} env
 */
export function cachedFolder(env) {
  return join(cacheRoot(env), `libtorch-${PINNED_VERSION}-${process.platform}-${process.arch}`, "torch");
}

/**
 * Downloads the pinned wheels into the cache: a temporary folder next to the target is filled, checked and renamed. `check` throws if the
 * copy is damaged.
 *
 * @param {Context} context
 * @param {Python | null} python
 * @param {(folder: string) => unknown} check
 */
export async function fetchLibtorch(context, python, check) {
  const { env, progress } = context;
  const target = dirname(cachedFolder(env));
  const found = expectPython(python);
  makeFolder(dirname(target), OTHER_PLACE);
  await orUnwritable(target, () =>
    withLock(`${target}.lock`, () => fetchInto(target, context, found, check), {
      onWait: ({ pid }) => progress.note(`waiting for another set-up (process ${pid}) that is fetching libtorch`),
    }),
  );
}

/**
 * @param {string} target
 * @param {Context} context
 * @param {Python} python
 * @param {(folder: string) => unknown} check
 */
async function fetchInto(target, { env, root, progress }, python, check) {
  if (existsSync(target) && isGood(target, check)) return; // another checkout may have downloaded it while this one waited
  const prefix = `${target}.partial-`;
  for (const name of readdirSync(dirname(target))) {
    if (join(dirname(target), name).startsWith(prefix)) remove(join(dirname(target), name));
  }
  expectSpace(dirname(target), NEEDED_BYTES);
  const partial = `${prefix}${process.pid}`;
  const title = `fetching libtorch ${PINNED_VERSION} into ${dirname(target)}`;
  try {
    await progress.step(title, (say) => install(partial, { env, root, python, say }));
    check(join(partial, "torch"));
    for (const name of surplus(partial)) remove(join(partial, name));
    expectWhole(partial);
    remove(target);
    renameSync(partial, target);
  } finally {
    remove(partial);
  }
}

/**
 * @param {string} target
 * @param {(folder: string) => unknown} check
 */
function isGood(target, check) {
  try {
    check(join(target, "torch"));
    expectWhole(target);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} target */
function expectWhole(target) {
  const path = damagedFile(target);
  if (path) {
    throw new SetupFailure(
      `${join(target, path)} is missing or incomplete`,
      "run `npm run setup` again to download it again",
    );
  }
}

/**
 * Throws if a crash or a full disk has left an incomplete copy in the cache.
 *
 * @param {NodeJS.ProcessEnv} env
 */
export function expectWholeCache(env) {
  expectWhole(dirname(cachedFolder(env)));
}

/**
 * @param {string} partial
 * @param {Pick<Context, "env" | "root"> & { python: Python, say: (word: string) => void }} context
 */
async function install(partial, { env, root, python, say }) {
  // pip first unpacks into its temporary folder. It is put here, so that it is on the disk whose space was checked, and is removed with the
  // rest.
  const temporary = join(partial, "tmp");
  makeFolder(temporary, OTHER_PLACE);
  const timer = setInterval(() => say(`${Math.round(folderSize(partial) / 1e6)} MB`), 1_000);
  const args = ["-m", "pip", "install", "--no-deps", "--only-binary=:all:", "--no-compile", "--no-cache-dir"];
  args.push(
    "--disable-pip-version-check",
    "--progress-bar",
    "off",
    ...wheelTags(python),
    "--target",
    partial,
    ...WHEELS,
  );
  const settings = { TMPDIR: temporary, PIP_USER: "0", PIP_REQUIRE_VIRTUALENV: "0" };
  try {
    const { code, output } = await run(python.executable, args, { cwd: root, env: { ...env, ...settings } });
    if (code !== 0) throw explain(output, partial);
  } finally {
    clearInterval(timer);
  }
}

/** @param {Pick<Python, "version">} python */
function wheelTags({ version: [major, minor] }) {
  if (major === 3 && minor >= WHEEL_PYTHONS.oldest && minor <= WHEEL_PYTHONS.newest) return [];
  const machine = process.arch === "x64" ? "x86_64" : process.platform === "darwin" ? "arm64" : "aarch64";
  const platforms =
    process.platform === "darwin"
      ? [`macosx_14_0_${machine}`, `macosx_11_0_${machine}`]
      : ["manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014"].map((name) => `${name}_${machine}`);
  return ["--implementation=cp", "--python-version=3.12", ...platforms.map((name) => `--platform=${name}`)];
}

/**
 * Throws if the disk does not have enough space for the download.
 *
 * @param {string} folder
 * @param {number} needed
 */
export function expectSpace(folder, needed) {
  const { bavail, bsize } = statfsSync(nearestExisting(folder));
  const free = bavail * bsize;
  if (free >= needed) return;
  throw new SetupFailure(
    `no disk space for libtorch: ${(needed / GB).toFixed(1)} GB are needed in ${folder}, ${(free / GB).toFixed(1)} GB are free`,
    `free some space, set BATCH_CAM_CACHE to a folder on a disk with more space, ${OTHER_WAY}`,
  );
}

/**
 * @param {Python | null} python
 * @returns {Python}
 */
function expectPython(python) {
  if (!python) {
    throw new SetupFailure(
      "no libtorch was found, and there is no working python3 to fetch one with",
      `install Python 3 with pip (Debian, Ubuntu: apt install python3-pip; Fedora: dnf install python3-pip; macOS: xcode-select --install), ${OTHER_WAY}`,
    );
  }
  if (!python.pip) {
    throw new SetupFailure(
      `no libtorch was found, and ${python.executable} has no pip to fetch one with`,
      `install pip (Debian, Ubuntu: apt install python3-pip; elsewhere: python3 -m ensurepip), ${OTHER_WAY}`,
    );
  }
  return python;
}

/**
 * @template Result
 * @param {string} target
 * @param {() => Promise<Result>} action
 */
async function orUnwritable(target, action) {
  try {
    return await action();
  } catch (error) {
    const { code = "" } = systemError(error);
    if (!["EACCES", "EPERM", "EROFS", "ENOTDIR", "ENOENT"].includes(code)) throw error;
    throw new SetupFailure(
      `the cache folder ${dirname(target)} cannot be written (${code})`,
      `set BATCH_CAM_CACHE to a folder that you may write to, ${OTHER_WAY}`,
    );
  }
}

/**
 * @param {string} output
 * @param {string} where
 */
function explain(output, where) {
  const environment = diskFailure("pip", output, where, OTHER_PLACE) ?? networkFailure("pip", output);
  if (environment) return environment;
  if (/No matching distribution|Could not find a version/.test(output)) {
    return new SetupFailure(
      `pip found no wheel of ${WHEELS.join(", ")} for ${process.platform} ${process.arch}`,
      `check the network and the index that pip uses (pip config list), ${OTHER_WAY}`,
      { details: tail(output, 4) },
    );
  }
  return new SetupFailure("pip could not install libtorch's wheels", `fix what pip reports above, ${OTHER_WAY}`, {
    details: tail(output),
  });
}
