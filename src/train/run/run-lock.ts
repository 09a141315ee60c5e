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
  /** When the process began, as the kernel counts: tells a process from a later one with its number. */
  began: string;
}

export const RUN_LOCK = "run.lock";

/**
 * Claims a run directory for this process, so that two never write one run. The claim of a process that is gone, on this
 * machine, is taken over.
 *
 * @returns what gives the claim back
 * @throws E_CHECKPOINT where a live process holds it
 */
export function lockRun(runDirectory: string): () => void {
  return claimFile(join(runDirectory, RUN_LOCK), runDirectory);
}

/** The same for anything, by a file in a folder that is there; `what` names the thing in errors. */
export function claimFile(path: string, what: string): () => void {
  try {
    return acquire(path, what);
  } catch (cause) {
    throw cannotClaim(what, cause);
  }
}

/** The live process that holds a claim, in words; null where none does. */
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
 * A dead claim is replaced, never removed, and only by who holds the lock named after what it says: of those who saw it one
 * gets that lock at a time, and whoever gets it later finds another claim in its place. A holder that died is dealt with alike.
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

/** The text of a claim whose owner is gone. */
function readDead(path: string, runDirectory: string): string {
  const text = readFileOr(path, null);
  // A link that leads nowhere is not a claim: nobody can have written one there.
  if (text === null && isLink(path)) return DANGLING;
  if (text === null) throw inUse(runDirectory, path); // given back just now
  const owner = parseOwner(text);
  if (owner === null ? isBeingWritten(path) : isAlive(owner)) throw inUse(runDirectory, path, owner);
  return text;
}

/** Stands for the text of a claim whose path is a link that leads nowhere. */
const DANGLING = "a link that leads nowhere";

/**
 * Whether an unreadable claim was written a moment ago: on a file system without hard links a claim is empty at first. A time
 * far in the future comes from another clock and says nothing.
 */
function isBeingWritten(path: string): boolean {
  const found = statOf(path);
  return found !== undefined && Math.abs(Date.now() - found.mtimeMs) < 10_000;
}

/** Puts the whole claim in place at once, so that nobody reads half of it. False where there is one already. */
function publish(draft: string, path: string, text: string): boolean {
  try {
    try {
      linkSync(draft, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") throw error;
      writeFileSync(path, text, { flag: "wx" }); // a file system without hard links
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
    return null; // torn by a power cut
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
 * What Linux says of a process: when it began, and whether it has ended. A killed process stays in the table as a zombie ("Z") until
 * its parent asks for its exit status, which in some containers never happens, and signals can still be sent to it.
 */
function kernelRecord(pid: number): { began: string; ended: boolean } {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name before the last bracket may contain blanks and brackets.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { began: fields[19] ?? "", ended: fields[0] === "Z" || fields[0] === "X" };
  } catch {
    return { began: "", ended: false }; // without /proc only the number tells whether the process exists
  }
}
