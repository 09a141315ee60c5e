import { homedir } from "node:os";
import { join, resolve } from "node:path";

/**
 * The folder that all checkouts and installations of a user share, for downloaded libtorch and built addons.
 *
 * @param {NodeJS.ProcessEnv} env
 */
export function cacheRoot(env) {
  const mac = join(homedir(), "Library/Caches");
  const base =
    env.BATCH_CAM_CACHE || (process.platform === "darwin" ? mac : env.XDG_CACHE_HOME || join(homedir(), ".cache"));
  return resolve(base, "batch-cam"); // an absolute path, because pip runs in the checkout, wherever the set-up was called from
}
