import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { availableParallelism, homedir } from "node:os";
import { join, resolve } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import { BatchCamError } from "../../errors.ts";
import { readRegularFile, readRegularText } from "../../regular-file.ts";

/** What a file held when it was read, and how the file system described it then. */
export interface HashedFile {
  /** SHA-256 of the file's bytes, cut to 128 bits, in hexadecimal digits. */
  readonly hash: string;
  /** Size, times of change and inode: another mark means that the file has to be read again. */
  readonly mark: string;
}

export interface HashOptions {
  /** Folder or file that names the files: each has an index of its own in the cache folder. */
  source: string;
  /** Aborting it rejects with its reason, between two files. */
  signal?: AbortSignal;
}

interface Row extends HashedFile {
  path: string;
  /** When the file was read, in milliseconds since 1970. */
  read: number;
}

/** The file system's clock may be this coarse, or this far from the process's, in milliseconds. */
const CLOCK_MARGIN = 2000;

/**
 * Hashes the contents of files; null where one cannot be read. The hashes are kept in the cache folder, so that the next call reads
 * only files that may have changed: whose size, time of modification, time of status change or inode is another, or whose status
 * changed so shortly before they were read that a later change may bear the same time. A program can set a file's size and time of
 * modification back; the time of status change it cannot.
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
      // A file that is being written is read again; one that never rests is read as it is, and its mark will not hold.
      if ((await describe(path)).mark === found.mark || attempt === 2) return { path, hash, mark: found.mark, read };
    }
  } catch {
    return null; // who needs the file says why it cannot be read
  }
}

/** The file system's description of a file; `changed` is in milliseconds since 1970. @throws where there is no such file */
async function describe(path: string): Promise<{ mark: string; changed: number }> {
  const { size, mtimeNs, ctimeNs, ino } = await stat(path, { bigint: true });
  return { mark: [size, mtimeNs, ctimeNs, ino].join(" "), changed: Number(ctimeNs / 1_000_000n) };
}

/** Whether a file is still what it was when it was hashed. */
export async function isUnchanged(path: string, { mark }: HashedFile): Promise<boolean> {
  const now = await describe(path).catch(() => null);
  return now?.mark === mark;
}

/** SHA-256, cut to 128 bits: two files of one data set that share it by chance are not to be expected. */
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
    return new Map(); // there is none, or it is damaged
  }
}

/** An index that cannot be written costs time and nothing else. */
async function writeIndex(path: string, rows: readonly (Row | null)[]): Promise<void> {
  const kept = rows.flatMap((row): Index["rows"] => (row === null ? [] : [[row.path, row.hash, row.mark, row.read]]));
  try {
    await writeFileAtomically(path, JSON.stringify({ version: 1, rows: kept } satisfies Index));
  } catch (error) {
    if (!(error instanceof BatchCamError)) throw error;
  }
}

/** The project's folder in the user's cache, where set-up keeps libtorch too; BATCH_CAM_CACHE moves it. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const system = process.platform === "darwin" ? join(homedir(), "Library/Caches") : env.XDG_CACHE_HOME;
  return resolve(env.BATCH_CAM_CACHE || system || join(homedir(), ".cache"), "batch-cam");
}
