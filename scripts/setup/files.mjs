import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

/**
 * The value of a JSON file, or null if the file is missing or incomplete.
 * @param {string} path
 * @returns {any} the value; callers check the parts that they use
 */
export function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return null;
  }
}

/**
 * Writes a file and flushes it to the disk before it returns, so that a later rename never makes an empty file visible.
 *
 * @param {string} path
 * @param {string | Uint8Array} content
 */
export function writeWhole(path, content) {
  const file = openSync(path, "w");
  try {
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Writes a JSON file atomically: a kill at any moment leaves either the old or the new content.
 *
 * @param {string} path
 * @param {unknown} value
 */
export function writeJson(path, value) {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeWhole(temporary, `${JSON.stringify(value, null, 2)}\n`);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/**
 * The paths of the files in a folder, sorted and relative to it. Folders named in `skip` are left out.
 *
 * @param {string} root
 * @param {{ skip?: readonly string[] }} options
 */
export function listFiles(root, { skip = [] } = {}) {
  /** @type {string[]} */
  const found = [];
  /** @param {string} relative */
  const enter = (relative) => {
    for (const entry of readdirSync(join(root, relative), { withFileTypes: true })) {
      const path = relative ? `${relative}/${entry.name}` : entry.name;
      if (!entry.isDirectory()) found.push(path);
      else if (!skip.includes(entry.name)) enter(path);
    }
  };
  if (existsSync(root)) enter("");
  return found.sort();
}

/**
 * One hash of the names and the contents of files, given relative to a root.
 *
 * @param {string} root
 * @param {readonly string[]} paths
 */
export function hashFiles(root, paths) {
  const hash = createHash("sha256");
  for (const path of paths) {
    const content = readFileSync(join(root, path));
    hash.update(`${path}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}

/**
 * The size of the files in a folder, in bytes. Files that disappear during the scan are not counted.
 *
 * @param {string} root
 */
export function folderSize(root) {
  let bytes = 0;
  try {
    for (const entry of readdirSync(root, { withFileTypes: true })) {
      const path = join(root, entry.name);
      bytes += entry.isDirectory() ? folderSize(path) : statSync(path).size;
    }
  } catch {
    // The file was moved or removed meanwhile.
  }
  return bytes;
}

/** @param {string} path */
export function remove(path) {
  rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/**
 * The nearest existing folder at or above a path, for which the free space can be read.
 *
 * @param {string} path
 * @returns {string}
 */
export function nearestExisting(path) {
  return existsSync(path) ? path : nearestExisting(dirname(path));
}
