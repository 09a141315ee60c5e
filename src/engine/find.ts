import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BatchCamError } from "../errors.ts";

/** The record that set-up wrote of the addon that it built. */
export interface BuildStamp {
  libtorch: string;
  /** How libtorch was found: LIBTORCH, python, or the cache. */
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

/** The record of the last set-up; null if it has not been run. */
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
 * @throws E_NATIVE if it is not built, or was built for another machine
 */
export function addonPath(build = BUILD): string {
  const path = join(build, "batch_cam.node");
  if (!existsSync(path)) {
    throw new BatchCamError("E_NATIVE", `the native addon is not built (${path} does not exist): ${remedy()}`);
  }
  const stamp = buildStamp(build);
  if (stamp !== null && (stamp.platform !== process.platform || stamp.arch !== process.arch)) {
    const [built, here] = [`${stamp.platform}-${stamp.arch}`, `${process.platform}-${process.arch}`];
    throw new BatchCamError("E_NATIVE", `the native addon was built for ${built}, this is ${here}: ${remedy()}`);
  }
  return path;
}

/** Explains an error of the dynamic loader, with a remedy. */
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
    return `Node ${process.versions.node} does not match it (built with ${stamp?.node ?? "another"}); use Node 20.9 or newer and ${remedy()}`;
  }
  if (/GLIBC|GLIBCXX|CXXABI/.test(text))
    return `this system's C or C++ library is older than the one it needs: ${remedy()} on this machine`;
  if (/undefined symbol|symbol lookup|symbol not found/i.test(text)) {
    return `it does not match the libtorch at ${stamp?.libtorch ?? "its place"} (built with ${stamp?.version ?? "another"}): ${remedy()}`;
  }
  if (/invalid ELF header|wrong ELF class|incompatible architecture|exec format/i.test(text))
    return `it was built for another kind of machine: ${remedy()}`;
  if (/libcudart|libcupti/.test(text))
    return `libtorch's CUDA runtime libraries are missing from its folder: ${remedy()}`;
  if (/cannot open shared object|image not found|Library not loaded/i.test(text))
    return `a library that libtorch needs is missing: ${remedy()}`;
  return remedy();
}

/**
 * Whether `npm run` in this folder runs the scripts of batch-cam's own package.json, that is, whether the folder is in
 * a checkout.
 */
const isOwnPackage = (cwd: string): boolean => packageName(cwd) === "batch-cam";

/**
 * The command that runs set-up. It differs because a project that installed batch-cam, or links to a checkout, has no
 * `npm run setup`. scripts/setup/command.mjs has a copy, because it must work without a build.
 */
export function setupCommand(cwd = process.cwd()): string {
  return isOwnPackage(cwd) ? "npm run setup" : "npx batch-cam setup";
}

/** The command that installs missing npm packages. */
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
