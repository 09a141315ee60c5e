import { randomBytes } from "node:crypto";
import { rmdirSync } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { BatchCamError } from "./errors.ts";

/**
 * Replaces a file so that its name always shows the old content or the new, whenever the process or the machine stops:
 * `write` fills a temporary file (".<name>-<random>.tmp") in the same folder, which is made where it is missing; it is
 * flushed and renamed. What the file system refuses is E_IO; then, and where `write` throws, the old file is intact and
 * the temporary one is gone.
 */
export async function replaceFile(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const temporary = temporaryName(path);
  try {
    await makeFolders(dirname(path));
    await fill(temporary, write);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {}); // the first failure is the one to report
    throw fileFault(`cannot write ${path}`, error);
  }
  await flushFolder(dirname(path));
}

/** As `replaceFile`, for contents that are at hand. */
export async function writeFileAtomically(path: string, contents: string | Uint8Array): Promise<void> {
  await replaceFile(path, (file) => file.writeFile(contents));
}

/** Makes a folder and the parents that it lacks; what the file system refuses is E_IO. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await makeFolders(path);
  } catch (error) {
    throw fileFault(`cannot make the folder ${path}`, error);
  }
}

/** Removes a folder in which nothing is; every other one stays as it is. */
export function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // It holds something, or was never there.
  }
}

/** How often a folder is made again whose parent another process removes, since it was empty. */
const ATTEMPTS = 5;

/** One folder at a time: Node's own recursive mkdir never returns where a parent that is there refuses with ENOENT, as /proc does. */
async function makeFolders(path: string, attempts = ATTEMPTS): Promise<void> {
  if (await isFolder(path)) return;
  if (dirname(path) !== path) await makeFolders(dirname(path));
  try {
    await mkdir(path);
  } catch (error) {
    if (await isFolder(path)) return; // another process made it meanwhile
    const parentIsGone = (error as NodeJS.ErrnoException).code === "ENOENT" && !(await isFolder(dirname(path)));
    if (!parentIsGone || attempts <= 1) throw error;
    await makeFolders(path, attempts - 1);
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false; // missing or hidden: mkdir says which
  }
}

/** Whether a file's name is that of a temporary file, which a killed process may have left. */
export function isTemporary(name: string): boolean {
  return /^\..*-[0-9a-f]{12}\.tmp$/.test(name);
}

/** E_IO for an error of the operating system, with what to do about it; any other error as it is. */
export function fileFault(failure: string, error: unknown): unknown {
  if (!isSystemError(error)) return error;
  const remedy = REMEDIES[error.code] ?? "check the disk and the folder";
  return new BatchCamError("E_IO", `${failure}: ${error.message}; ${remedy}`, { cause: error });
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: "free disk space and write again",
  EDQUOT: "free disk space or raise the quota, and write again",
  EFBIG: "raise the limit on file sizes (ulimit -f)",
  EACCES: "allow writing to the folder, or choose another",
  EPERM: "allow writing to the folder, or choose another",
  EROFS: "choose a folder that is not read-only",
  ENOENT: "the folder was removed meanwhile or takes nothing new: choose another",
  ENOTDIR: "choose a path whose parent is a folder",
  EEXIST: "choose a path whose parent is a folder",
  EISDIR: "choose a path that is not a folder",
  ERR_FS_EISDIR: "remove what is in the way", // Node's own, where a file was to be removed
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

/** The name is cut so that the random part does not push a name that is allowed past the limit of 255 bytes. */
export function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path).slice(0, 40)}-${randomBytes(6).toString("hex")}.tmp`);
}

/** Makes the rename itself durable. Some file systems and Windows cannot flush a folder; there the rename has to do. */
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
