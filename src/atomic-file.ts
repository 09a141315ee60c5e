import { randomBytes } from "node:crypto";
import { constants, rmdirSync } from "node:fs";
import { access, type FileHandle, link, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { BatchCamError } from "./errors.ts";

/**
 * Replaces a file atomically: at any time its name refers to the complete old or the complete new content, even if the
 * process or the machine stops. `write` fills a temporary file (".<name>-<random>.tmp") in the same folder, which is
 * created if it is missing. The temporary file is flushed to disk and renamed. On failure the old file is kept and the
 * temporary one is deleted.
 *
 * @throws E_IO if the file system reports an error; anything that `write` throws
 */
export async function replaceFile(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const temporary = temporaryName(path);
  try {
    await makeFolders(dirname(path));
    await fill(temporary, write);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {}); // the first error is the one to report
    throw fileFault(`cannot write ${path}`, error);
  }
  await flushFolder(dirname(path));
}

/** `replaceFile` for contents in memory. */
export async function writeFileAtomically(path: string, contents: string | Uint8Array): Promise<void> {
  await replaceFile(path, (file) => file.writeFile(contents));
}

/**
 * Writes a file unless it exists, and returns whether it did. The file is complete at any time, and of several processes exactly one
 * writes it.
 *
 * @throws E_IO if the file system reports another error
 */
export async function writeFirst(path: string, contents: string): Promise<boolean> {
  const temporary = temporaryName(path);
  try {
    await makeFolders(dirname(path));
    await fill(temporary, (file) => file.writeFile(contents));
    await link(temporary, path); // fails if the name exists, unlike rename
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw fileFault(`cannot write ${path}`, error);
  } finally {
    await rm(temporary, { force: true }).catch(() => {}); // the result is known already
  }
}

/**
 * Makes a folder and its missing parents.
 *
 * @throws E_IO if the file system reports an error
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await makeFolders(path);
  } catch (error) {
    throw fileFault(`cannot make the folder ${path}`, error);
  }
}

/**
 * Makes a folder if it is missing, and checks that files can be written into it, before work is done whose result goes there.
 *
 * @throws E_IO if not
 */
export async function expectWritableFolder(path: string): Promise<void> {
  await makeFolder(path);
  try {
    await access(path, constants.W_OK);
  } catch (error) {
    throw fileFault(`cannot write into ${path}`, error);
  }
}

/** Removes a folder if it is empty, and otherwise does nothing. */
export function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // It is not empty, or does not exist.
  }
}

/** Number of attempts to make a folder whose empty parent another process keeps removing. */
const ATTEMPTS = 5;

/**
 * Makes the folders one at a time. Node's recursive mkdir is not used, because it never returns if an existing parent
 * fails with ENOENT, as /proc does.
 */
async function makeFolders(path: string, attempts = ATTEMPTS): Promise<void> {
  if (await isFolder(path)) return;
  if (dirname(path) !== path) await makeFolders(dirname(path));
  try {
    await mkdir(path);
  } catch (error) {
    if (await isFolder(path)) return; // another process has made it
    const parentIsGone = (error as NodeJS.ErrnoException).code === "ENOENT" && !(await isFolder(dirname(path)));
    if (!parentIsGone || attempts <= 1) throw error;
    await makeFolders(path, attempts - 1);
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false; // if the reason is not that it is missing, mkdir will report it
  }
}

/** Whether a name is that of a temporary file of `replaceFile`. A killed process may leave one behind. */
export function isTemporary(name: string): boolean {
  return /^\..*-[0-9a-f]{12}\.tmp$/.test(name);
}

/** Converts an error of the operating system to E_IO with a remedy. Any other error is returned unchanged. */
export function fileFault(failure: string, error: unknown): unknown {
  if (!isSystemError(error)) return error;
  const remedy = isUncreated(error)
    ? `the folder ${error.path} cannot be created: choose another`
    : (REMEDIES[error.code] ?? "check the disk and the folder");
  return new BatchCamError("E_IO", `${failure}: ${error.message}; ${remedy}`, { cause: error });
}

/** Whether a folder could not be made although its parent exists, as in /proc. */
const isUncreated = ({ code, syscall, path }: NodeJS.ErrnoException): boolean =>
  code === "ENOENT" && syscall === "mkdir" && path !== undefined;

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: "free disk space and write again",
  EDQUOT: "free disk space or raise the quota, and write again",
  EFBIG: "raise the limit on file sizes (ulimit -f)",
  EACCES: "allow writing to the folder, or choose another",
  EPERM: "allow writing to the folder, or choose another",
  EROFS: "choose a folder that is not read-only",
  ENOENT: "choose another folder",
  ENOTDIR: "choose a path whose parent is a folder",
  EEXIST: "choose a path whose parent is a folder",
  EISDIR: "choose a path that is not a folder",
  ERR_FS_EISDIR: "remove what is in the way", // Node's own code, for removing a file
  ENAMETOOLONG: "choose a shorter name",
};

async function fill(temporary: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(temporary, "wx");
  try {
    await write(file);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * The name of a temporary file. The original name is truncated, because the random part could otherwise exceed the
 * limit of 255 bytes.
 */
export function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path).slice(0, 40)}-${randomBytes(6).toString("hex")}.tmp`);
}

/**
 * Flushes the folder, so that the rename itself survives a crash. Some file systems and Windows cannot flush a folder;
 * there the error is ignored.
 */
async function flushFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    await handle.sync().finally(() => handle.close());
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException & { code: string } {
  return error instanceof Error && "syscall" in error && "code" in error && typeof error.code === "string";
}
