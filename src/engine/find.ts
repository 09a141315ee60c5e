import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BatchCamError } from "../errors.ts";

/** What set-up wrote of the addon that it built. */
export interface BuildStamp {
  libtorch: string;
  /** Where it was found: LIBTORCH, python, or the cache. */
  source: string;
  version: string;
  library: string;
  node: string;
  platform: string;
  arch: string;
  compiler: string;
}

const BUILD = fileURLToPath(new URL("../../native/build/", import.meta.url));
const remedy = () => `run \`${setupCommand()}\``;

/** The record of the last set-up, or null before the first. */
export function buildStamp(build = BUILD): BuildStamp | null {
  try {
    return JSON.parse(readFileSync(join(build, "stamp.json"), "utf8")) as BuildStamp;
  } catch {
    return null;
  }
}

/**
 * Path of the built addon.
 *
 * @throws E_NATIVE where it is not built, or is built for another machine
 */
export function addonPath(build = BUILD): string {
  const path = join(build, "batch_cam.node");
  if (!existsSync(path)) {
    throw new BatchCamError("E_NATIVE", `the native addon is not built (there is no ${path}): ${remedy()}`);
  }
  const stamp = buildStamp(build);
  if (stamp !== null && (stamp.platform !== process.platform || stamp.arch !== process.arch)) {
    const [built, here] = [`${stamp.platform}-${stamp.arch}`, `${process.platform}-${process.arch}`];
    throw new BatchCamError("E_NATIVE", `the native addon was built for ${built}, this is ${here}: ${remedy()}`);
  }
  return path;
}

/** What the dynamic loader's message means, and what to do about it. */
export function explainLoadFailure(cause: unknown, build = BUILD): BatchCamError {
  const text = cause instanceof Error ? (cause.message.split("\n")[0] as string) : String(cause);
  return new BatchCamError(
    "E_NATIVE",
    `the native addon cannot be loaded: ${diagnose(text, buildStamp(build))} (${text})`,
    { cause },
  );
}

function diagnose(text: string, stamp: BuildStamp | null): string {
  if (stamp !== null && !existsSync(stamp.library)) {
    return `the libtorch it was built with is gone from ${stamp.libtorch}: ${remedy()}`;
  }
  if (/NODE_MODULE_VERSION|napi_|node_api/i.test(text)) {
    return `Node ${process.versions.node} does not fit it (built under ${stamp?.node ?? "another"}); use Node 20.9 or newer and ${remedy()}`;
  }
  if (/GLIBC|GLIBCXX|CXXABI/.test(text))
    return `this system's C or C++ library is older than the one it needs: ${remedy()} on this machine`;
  if (/undefined symbol|symbol lookup|symbol not found/i.test(text)) {
    return `it does not fit the libtorch at ${stamp?.libtorch ?? "its place"} (built with ${stamp?.version ?? "another"}): ${remedy()}`;
  }
  if (/invalid ELF header|wrong ELF class|incompatible architecture|exec format/i.test(text))
    return `it was built for another kind of machine: ${remedy()}`;
  if (/libcudart|libcupti/.test(text)) return `libtorch's CUDA runtime libraries are missing beside it: ${remedy()}`;
  if (/cannot open shared object|image not found|Library not loaded/i.test(text))
    return `a library that libtorch needs is missing: ${remedy()}`;
  return remedy();
}

/** Whether `npm run` in a folder means the scripts of batch-cam's own package.json: it is in a checkout. */
const isOwnPackage = (cwd: string): boolean => packageName(cwd) === "batch-cam";

/**
 * The command that sets up, as scripts/setup/command.mjs words it, which must do without a build: a project that has
 * batch-cam installed, or links a checkout, knows no `npm run setup`.
 */
export function setupCommand(cwd = process.cwd()): string {
  return isOwnPackage(cwd) ? "npm run setup" : "npx batch-cam setup";
}

/** The command that installs npm packages which are missing. */
export function installCommand(cwd = process.cwd()): string {
  return isOwnPackage(cwd) ? "npm ci" : "npm install";
}

function packageName(folder: string): unknown {
  try {
    return (JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { name?: unknown }).name;
  } catch {
    return dirname(folder) === folder ? undefined : packageName(dirname(folder));
  }
}
