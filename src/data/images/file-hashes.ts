import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import { cacheFolder } from "../../cache-folder.ts";
import { BatchCamError } from "../../errors.ts";
import { readRegularFile, readRegularText } from "../../regular-file.ts";

/** The content hash of a file, and the metadata of the file when it was read. */
export interface HashedFile {
  /** The first 128 bits of the SHA-256 of the file's bytes, in hexadecimal. */
  readonly hash: string;
  /** Size, modification time, change time and inode of the file. If any of them differs, the file has to be read again. */
  readonly mark: string;
}

export interface HashOptions {
  /** Folder or file that lists the files. Each has its own index in the cache folder. */
  source: string;
  /** Aborts the hashing between two files: the promise rejects with the reason of the signal. */
  signal?: AbortSignal;
}

interface Row extends HashedFile {
  path: string;
  /** Time at which the file was read, in milliseconds since 1970. */
  read: number;
}

/**
 * Allowance, in milliseconds, for coarse file times and for the difference between the clocks of the file system and
 * the process.
 */
const CLOCK_MARGIN = 2000;

/**
 * Hashes the contents of files. An entry is null if its file cannot be read. The hashes are kept in the cache folder,
 * so that the next call reads only files that may have changed. These are files whose size, modification time (mtime),
 * change time (ctime) or inode differs, and files whose ctime was so close to the time of reading that a later change
 * could have the same ctime. The ctime is included because a program can restore the size and the mtime of a file, but
 * not its ctime.
 */
export async function hashFiles(paths: readonly string[], options: HashOptions): Promise<(HashedFile | null)[]> {
  const index = indexOf(options.source);
  const known = await readIndex(index);
  const rows = new Map<string, Row | null>();
  const wanted = [...new Set(paths.map((path) => resolve(path)))];
  let changed = false;
  let next = 0;
  const work = async () => {
    while (next < wanted.length) {
      options.signal?.throwIfAborted();
      const path = wanted[next++] as string;
      const before = known.get(path);
      const row = await hashFile(path, before);
      changed ||= row !== null && row !== before;
      rows.set(path, row);
    }
  };
  await Promise.all(Array.from({ length: Math.min(32, availableParallelism() + 6) }, work));
  if (changed) await writeIndex(index, [...rows.values()]);
  return paths.map((path) => rows.get(resolve(path)) ?? null);
}

async function hashFile(path: string, before: Row | undefined): Promise<Row | null> {
  try {
    for (let attempt = 0; ; attempt++) {
      const found = await describe(path);
      const settled = before !== undefined && found.changed + CLOCK_MARGIN < before.read;
      if (settled && before.mark === found.mark) return before;
      const read = Date.now();
      const hash = contentHash(await readRegularFile(path));
      // If the file changed while it was read, it is read again, at most twice. After that the hash is returned with
      // the older mark, so that it is not reused.
      if ((await describe(path)).mark === found.mark || attempt === 2) return { path, hash, mark: found.mark, read };
    }
  } catch {
    return null; // the code that decodes the file will report the error
  }
}

/**
 * The metadata of a file. `changed` is its ctime in milliseconds since 1970.
 * @throws the error of the file system if the file does not exist
 */
async function describe(path: string): Promise<{ mark: string; changed: number }> {
  const { size, mtimeNs, ctimeNs, ino } = await stat(path, { bigint: true });
  return { mark: [size, mtimeNs, ctimeNs, ino].join(" "), changed: Number(ctimeNs / 1_000_000n) };
}

/** Whether a file is unchanged since it was hashed. */
export async function isUnchanged(path: string, { mark }: HashedFile): Promise<boolean> {
  const now = await describe(path).catch(() => null);
  return now?.mark === mark;
}

/** The first 128 bits of SHA-256. That is enough to make an accidental collision within a data set negligible. */
export function contentHash(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 32);
}

function indexOf(source: string): string {
  return join(cacheFolder(), "hashes", `${contentHash(resolve(source))}.json`);
}

interface Index {
  version: 1;
  rows: [path: string, hash: string, mark: string, read: number][];
}

async function readIndex(path: string): Promise<Map<string, Row>> {
  try {
    const { version, rows } = JSON.parse(await readRegularText(path)) as Index;
    if (version !== 1) return new Map();
    return new Map(rows.map(([file, hash, mark, read]) => [file, { path: file, hash, mark, read }]));
  } catch {
    return new Map(); // the index does not exist or is damaged
  }
}

/** Writes the index. A failure is ignored, because it only makes the next call slower. */
async function writeIndex(path: string, rows: readonly (Row | null)[]): Promise<void> {
  const kept = rows.flatMap((row): Index["rows"] => (row === null ? [] : [[row.path, row.hash, row.mark, row.read]]));
  try {
    await writeFileAtomically(path, JSON.stringify({ version: 1, rows: kept } satisfies Index));
  } catch (error) {
    if (!(error instanceof BatchCamError)) throw error;
  }
}
