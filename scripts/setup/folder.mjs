import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { folderFailure } from "./failure.mjs";

/**
 * Makes a folder and the parents that it lacks, one by one: Node's own recursive mkdir never returns where a parent that
 * is there refuses with ENOENT, as /proc does. `elsewhere` tells the user how to choose another place.
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
    return false; // missing or hidden: mkdir says which
  }
}
