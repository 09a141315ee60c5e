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
 * A JSON file's value; null where it is missing or cut short.
 *
 * @param {string} path
 * @returns {any} whatever the file holds; its readers check what they use
 */
export function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return null;
  }
}

/**
 * Writes a file and has it reach the disk before it returns, so that a rename after it never names an empty file.
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
 * Writes a JSON file so that a kill at any moment leaves the old one or the new one.
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
 * Paths of the files below a folder, sorted, relative to it; `skip` names folders that are not entered.
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
 * One hash over the names and the contents of files, given relative to a root.
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
 * Bytes of the files below a folder; files that vanish while it looks count as nothing.
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
    // It was moved or removed meanwhile.
  }
  return bytes;
}

/** @param {string} path */
export function remove(path) {
  rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/**
 * The nearest folder at or above a path that exists: where free space can be asked for.
 *
 * @param {string} path
 * @returns {string}
 */
export function nearestExisting(path) {
  return existsSync(path) ? path : nearestExisting(dirname(path));
}
