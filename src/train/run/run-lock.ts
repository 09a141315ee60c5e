import { createHash } from "node:crypto";
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { temporaryName } from "../../atomic-file.ts";
import { BatchCamError } from "../../errors.ts";
import { isLink, readRegularTextSync, statOf } from "../../regular-file.ts";

interface Owner {
  host: string;
  pid: number;
  /** The process's start time, as the kernel counts it. It distinguishes a process from a later one with the same id. */
  began: string;
}

export const RUN_LOCK = "run.lock";

/**
 * Locks a run directory for this process, so that two processes never write the same run. The lock of a process on this machine
 * that no longer exists is taken over.
 *
 * @returns a function that releases the lock
 * @throws E_CHECKPOINT if a live process holds it
 */
export function lockRun(runDirectory: string): () => void {
  return claimFile(join(runDirectory, RUN_LOCK), runDirectory);
}

/** Locks anything else in the same way, by a file in an existing folder; `what` names it in errors. */
export function claimFile(path: string, what: string): () => void {
  try {
    return acquire(path, what);
  } catch (cause) {
    throw cannotClaim(what, cause);
  }
}

/** A description of the live process that holds a lock; null if there is none. */
export function holderOf(path: string, what: string): string | null {
  try {
    const owner = parseOwner(readFileOr(path, ""));
    return owner !== null && isAlive(owner) ? nameOf(owner) : null;
  } catch (cause) {
    throw cannotClaim(what, cause);
  }
}

function cannotClaim(what: string, cause: unknown): BatchCamError {
  if (cause instanceof BatchCamError) return cause;
  return new BatchCamError("E_IO", `cannot claim ${what}: ${(cause as Error).message}`, { cause });
}

const nameOf = ({ pid, host }: Owner): string => `process ${pid} on ${host}`;

/**
 * A stale lock is replaced, never deleted. Processes that saw it first take a second lock, named by the stale lock's hash, so
 * that only one of them replaces it. Each later one finds another lock in its place. A stale second lock is replaced in the
 * same way.
 */
function acquire(path: string, runDirectory: string): () => void {
  const mine = claim();
  const draft = temporaryName(path);
  writeFileSync(draft, mine);
  try {
    if (!publish(draft, path, mine)) {
      const dead = readDead(path, runDirectory);
      const release = acquire(
        `${path}.after-${createHash("sha256").update(dead).digest("hex").slice(0, 16)}`,
        runDirectory,
      );
      try {
        const now = readFileOr(path, null) ?? (isLink(path) ? DANGLING : null);
        if (now !== dead) throw inUse(runDirectory, path);
        renameSync(draft, path);
      } finally {
        release();
      }
    }
  } finally {
    rmSync(draft, { force: true });
  }
  return () => {
    if (readFileOr(path, "") === mine) rmSync(path, { force: true });
  };
}

/** The text of a lock whose owner no longer exists. */
function readDead(path: string, runDirectory: string): string {
  const text = readFileOr(path, null);
  // A broken link is not a lock, because no process can have written one there.
  if (text === null && isLink(path)) return DANGLING;
  if (text === null) throw inUse(runDirectory, path); // it was released just now
  const owner = parseOwner(text);
  if (owner === null ? isBeingWritten(path) : isAlive(owner)) throw inUse(runDirectory, path, owner);
  return text;
}

/** A text that is used for a lock whose path is a broken link. */
const DANGLING = "a broken link";

/**
 * Whether an unreadable lock was written a moment ago: on the file system does not support hard links a lock is empty at first. A time
 * far in the future comes from another clock and is ignored.
 */
function isBeingWritten(path: string): boolean {
  const found = statOf(path);
  return found !== undefined && Math.abs(Date.now() - found.mtimeMs) < 10_000;
}

/** Writes the whole lock at once, so that no process reads half of it. Returns false if there is one already. */
function publish(draft: string, path: string, text: string): boolean {
  try {
    try {
      linkSync(draft, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") throw error;
      writeFileSync(path, text, { flag: "wx" }); // the file system does not support hard links
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function inUse(runDirectory: string, path: string, owner = parseOwner(readFileOr(path, ""))): BatchCamError {
  const who = owner === null ? "another process" : nameOf(owner);
  return new BatchCamError(
    "E_CHECKPOINT",
    `${runDirectory} is in use by ${who}: wait for it, or stop it (remove ${path} if that process is gone)`,
  );
}

function claim(): string {
  const self: Owner = { host: hostname(), pid: process.pid, began: kernelRecord(process.pid).began };
  return JSON.stringify(self);
}

function readFileOr<T>(path: string, otherwise: T): string | T {
  try {
    return readRegularTextSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return otherwise;
    throw error;
  }
}

function parseOwner(text: string): Owner | null {
  try {
    const { host, pid, began } = JSON.parse(text) as Owner;
    const whole = typeof host === "string" && Number.isSafeInteger(pid) && pid > 0 && typeof began === "string";
    return whole ? { host, pid, began } : null;
  } catch {
    return null; // the lock is incomplete after a power failure
  }
}

function isAlive({ host, pid, began }: Owner): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const { began: now, ended } = kernelRecord(pid);
  return now === began && !ended;
}

/**
 * The state of a process on Linux: its start time, and whether it has ended. A killed process stays in the table as a zombie
 * ("Z") until its parent asks for its exit status, which in some containers never happens, and signals can still be sent to it.
 */
function kernelRecord(pid: number): { began: string; ended: boolean } {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name before the last bracket may contain blanks and brackets.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { began: fields[19] ?? "", ended: fields[0] === "Z" || fields[0] === "X" };
  } catch {
    return { began: "", ended: false }; // without /proc only the process id shows whether the process exists
  }
}
