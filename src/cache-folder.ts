import { homedir } from "node:os";
import { join, resolve } from "node:path";

/**
 * The project's folder in the user's cache, which set-up also uses for libtorch. The environment variable
 * BATCH_CAM_CACHE overrides it.
 */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const system = process.platform === "darwin" ? join(homedir(), "Library/Caches") : env.XDG_CACHE_HOME;
  return resolve(env.BATCH_CAM_CACHE || system || join(homedir(), ".cache"), "batch-cam");
}
