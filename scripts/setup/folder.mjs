import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { folderFailure } from "./failure.mjs";

/**
 * Makes a folder and its missing parents one by one, because Node's own recursive mkdir never returns if an existing parent refuses with
 * ENOENT, as /proc does. `elsewhere` is advice on how to choose another folder.
 *
 * @param {string} path
 * @param {string} [elsewhere]
 */
export function makeFolder(path, elsewhere) {
  if (isFolder(path)) return;
  if (dirname(path) !== path) makeFolder(dirname(path), elsewhere);
  try {
    mkdirSync(path);
  } catch (error) {
    if (!isFolder(path)) throw folderFailure(path, error, elsewhere);
    // Another process made it meanwhile.
  }
}

/** @param {string} path */
function isFolder(path) {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false; // missing or inaccessible: mkdir reports which
  }
}
