import { execFileSync } from "node:child_process";
import {
  linkSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { systemError } from "./failure.mjs";
import { readJson, writeJson } from "./files.mjs";
import { makeFolder } from "./folder.mjs";

/** @import { Holder, LockFile } from "./types.d.ts" */

// A lock is the highest-numbered of the files `<name>.1`, `<name>.2` …, one for each time it was taken. A process takes the lock by making
// the file with the next number, which link() lets only one process do. Only the holder of a higher number deletes a lower one. So a stale
// lock is superseded and never removed, and two processes cannot both replace it.

const HEARTBEAT_MS = 5_000;
const FOREIGN_STALE_MS = 60_000;

/** @type {Set<string>} the files of the locks that this process holds */
const held = new Set();

/**
 * Runs `action` while no other process that uses the same path runs its own. If it has to wait, `onWait` is called once with the holder.
 *
 * @template Result
 * @param {string} path
 * @param {() => Promise<Result>} action
 * @param {{ onWait?: (holder: Holder) => void, pollMs?: number }} options
 * @returns {Promise<Result>}
 */
export async function withLock(path, action, { onWait = () => {}, pollMs = 150 } = {}) {
  makeFolder(dirname(path));
  const own = await take(path, onWait, pollMs);
  held.add(own);
  const heartbeat = setInterval(() => touch(own), HEARTBEAT_MS).unref();
  try {
    return await action();
  } finally {
    clearInterval(heartbeat);
    held.delete(own);
    // On a full disk this fails too, and must not hide the first error: the lock becomes free when this process ends.
    tryTo(() => writeJson(own, { released: true }));
  }
}

/**
 * If this process is killed, keeps its locks taken until a process that it started has ended too. npm and compilers take a moment to end,
 * and must not write while the next set-up runs.
 *
 * @param {number} pid
 */
export function lendLocks(pid) {
  const helper = { pid, start: startOf(pid) };
  for (const own of held) tryTo(() => writeJson(own, { ...holder(), helper }));
}

/**
 * @param {string} path
 * @param {(holder: Holder) => void} onWait
 * @param {number} pollMs
 * @returns {Promise<string>}
 */
async function take(path, onWait, pollMs) {
  for (let told = false; ; ) {
    const latest = current(path);
    if (isFree(latest)) {
      const own = claim(path, latest.number + 1);
      if (own) return own;
    } else {
      if (latest.content && !told) onWait(latest.content); // the content is missing if the holder is releasing the lock at this moment
      told ||= latest.content !== null;
      await sleep(pollMs);
    }
  }
}

/**
 * The newest file of a lock, with number 0 if it was never taken.
 *
 * @param {string} path
 * @returns {LockFile}
 */
function current(path) {
  const number = Math.max(0, ...numbers(path));
  const file = `${path}.${number}`;
  return { number, file, content: number === 0 ? null : readJson(file) };
}

/** @param {string} path */
function numbers(path) {
  const prefix = `${basename(path)}.`;
  return readdirSync(dirname(path))
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)));
}

const holder = () => ({ pid: process.pid, machine: machine(), start: startOf(process.pid) });

/**
 * @param {string} path
 * @param {number} number
 */
function claim(path, number) {
  const own = `${path}.${number}`;
  const draft = `${path}.draft-${process.pid}-${Math.random().toString(36).slice(2)}`;
  try {
    writeFileSync(draft, JSON.stringify(holder()));
    linkSync(draft, own);
  } catch (error) {
    if (systemError(error).code === "EEXIST") return null;
    throw error;
  } finally {
    tryTo(() => unlinkSync(draft));
  }
  // A slow process may have made a file whose number was already used and deleted: only the highest number holds the lock.
  const lower = numbers(path).sort((a, b) => a - b);
  if (lower.pop() !== number) {
    unlinkSync(own);
    return null;
  }
  for (const old of lower) tryTo(() => unlinkSync(`${path}.${old}`));
  return own;
}

/**
 * Whether a lock may be taken: it was never taken, it was released, or its holder has ended.
 *
 * @param {LockFile} lock
 */
function isFree({ number, file, content }) {
  if (number === 0 || content?.released) return true;
  if (!content) return isSilent(file);
  if (content.machine !== machine()) return isSilent(file);
  return [content, content.helper].every((process) => !process || startOf(process.pid) !== process.start);
}

/**
 * A process on another machine or in another container cannot be looked up. It counts as alive while it keeps touching its file.
 *
 * @param {string} file
 */
function isSilent(file) {
  try {
    return fileSystemNow(dirname(file)) - statSync(file).mtimeMs > FOREIGN_STALE_MS;
  } catch {
    return false;
  }
}

/**
 * The time of the clock that dates files in a folder, which may be a file server's.
 *
 * @param {string} folder
 */
function fileSystemNow(folder) {
  const probe = join(folder, `.clock-${process.pid}`);
  writeFileSync(probe, "");
  const { mtimeMs } = statSync(probe);
  unlinkSync(probe);
  return mtimeMs;
}

/** @param {string} file */
function touch(file) {
  const now = new Date();
  tryTo(() => utimesSync(file, now, now));
}

/** @type {string | undefined} */
let knownMachine;

/** Identifies the processes among which a pid is unique: host, boot and pid namespace. */
function machine() {
  knownMachine ??= [
    hostname(),
    tryTo(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()) ?? "",
    tryTo(() => readlinkSync("/proc/self/ns/pid")) ?? "",
  ].join(" ");
  return knownMachine;
}

/**
 * The start time of a process, in the system's unit, or null if it is not running. A pid alone may have been reused.
 *
 * @param {number} pid
 * @returns {string | null}
 */
export function startOf(pid) {
  if (process.platform === "linux") {
    const stat = tryTo(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
    if (!stat) return null;
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? null : (fields[19] ?? null);
  }
  return (
    tryTo(() => execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim() || null) ?? null
  );
}

/**
 * @template Result
 * @param {() => Result} action
 * @returns {Result | undefined}
 */
function tryTo(action) {
  try {
    return action();
  } catch {
    return undefined;
  }
}
