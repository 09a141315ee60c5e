import { lstatSync, readFileSync, type Stats, statSync } from "node:fs";
import { appendFile, readFile, stat } from "node:fs/promises";

/**
 * A path that is not a regular file where one was expected. Like an error of the operating system it has a `code` and a `syscall`,
 * so that callers report both alike.
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
 * What `stat` says of a regular file; links are followed. A path is looked at before it is opened because opening a named pipe
 * waits for a writer, and a device may never end.
 *
 * @throws NotRegularFile for anything else; the operating system's error if there is nothing
 */
export async function statRegularFile(path: string): Promise<Stats> {
  return expectRegular(path, await stat(path));
}

/** The bytes of a regular file; throws as `statRegularFile` does. */
export async function readRegularFile(path: string): Promise<Buffer> {
  await statRegularFile(path);
  return readFile(path);
}

/** The text of a regular file in UTF-8; throws as `statRegularFile` does. */
export async function readRegularText(path: string): Promise<string> {
  await statRegularFile(path);
  return readFile(path, "utf8");
}

/** `readRegularText`, for code that cannot wait. */
export function readRegularTextSync(path: string): string {
  expectRegular(path, statSync(path));
  return readFileSync(path, "utf8");
}

/** Appends text to a regular file, which is made if it is missing. */
export async function appendRegularText(path: string, text: string): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (found !== null) expectRegular(path, found);
  await appendFile(path, text);
}

/** Whether a path is a symbolic link, wherever it leads. */
export function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

function expectRegular(path: string, found: Stats): Stats {
  if (found.isFile()) return found;
  throw new NotRegularFile(path, found);
}
