import { createHash } from "node:crypto";
import { createReadStream, lstatSync, readFileSync, type Stats, statSync } from "node:fs";
import { appendFile, readFile, stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";

/**
 * The error for a path that is not a regular file although one was expected. Like an error of the operating system it
 * has a `code` and a `syscall`, so that callers can report both in the same way.
 */
export class NotRegularFile extends Error {
  readonly code: "EISDIR" | "ENOTREG";
  readonly syscall = "stat";
  readonly path: string;

  constructor(path: string, found: Stats) {
    super(`expected a regular file, got ${kindOf(found)}`);
    this.name = "NotRegularFile";
    this.code = found.isDirectory() ? "EISDIR" : "ENOTREG";
    this.path = path;
  }
}

function kindOf(found: Stats): string {
  if (found.isDirectory()) return "a folder";
  if (found.isFIFO()) return "a named pipe";
  if (found.isSocket()) return "a socket";
  return "a device";
}

/**
 * The result of `stat` for a regular file, following links. A path is checked before it is opened because opening a
 * named pipe waits for a writer, and reading a device may never end.
 *
 * @throws NotRegularFile for anything else; the operating system's error if nothing exists at the path
 */
export async function statRegularFile(path: string): Promise<Stats> {
  return expectRegular(path, await stat(path));
}

/** Reads a regular file. Throws as `statRegularFile` does. */
export async function readRegularFile(path: string): Promise<Buffer> {
  await statRegularFile(path);
  return readFile(path);
}

/** SHA-256 of a regular file as it is now, in hexadecimal digits. Throws as `statRegularFile` does. */
export async function sha256OfFile(path: string): Promise<string> {
  await statRegularFile(path);
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

/** Reads a regular file as UTF-8. Throws as `statRegularFile` does. */
export async function readRegularText(path: string): Promise<string> {
  await statRegularFile(path);
  return readFile(path, "utf8");
}

/** The synchronous version of `readRegularText`. */
export function readRegularTextSync(path: string): string {
  expectRegular(path, statSync(path));
  return readFileSync(path, "utf8");
}

/** Appends text to a regular file, which is created if it is missing. */
export async function appendRegularText(path: string, text: string): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (found !== null) expectRegular(path, found);
  await appendFile(path, text);
}

/**
 * The result of `stat`, following links; undefined if nothing can be reached at the path. The option `throwIfNoEntry` of
 * `statSync` is not enough for that: it throws for a path that leads through a file, or through a folder that is closed.
 */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** Whether a path is a symbolic link, even a broken one. */
export function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}

function expectRegular(path: string, found: Stats): Stats {
  if (found.isFile()) return found;
  throw new NotRegularFile(path, found);
}
