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

// A lock is the highest-numbered of the files `<name>.1`, `<name>.2` …, one for each time that it was taken. Taking it
// means making the next number, which link() lets one process alone do, and only the holder of a higher number deletes
// a lower one. So a stale lock is passed, never removed, and no two processes can break it at once.

const HEARTBEAT_MS = 5_000;
const FOREIGN_STALE_MS = 60_000;

/** @type {Set<string>} the files of the locks that this process holds */
const held = new Set();

/**
 * Runs `action` while no other process that uses the same path does; `onWait` hears the holder once if it must wait.
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
    // On a full disk this fails too, and must not hide the first failure: the lock is free when this process has ended.
    tryTo(() => writeJson(own, { released: true }));
  }
}

/**
 * Has the locks of this process stay taken, if it is killed, until a process that it started has ended too: an npm or a
 * compiler takes a moment to die, and must not write under the feet of the next set-up.
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
      if (latest.content && !told) onWait(latest.content); // it has none where its holder gave it up this moment
      told ||= latest.content !== null;
      await sleep(pollMs);
    }
  }
}

/**
 * The newest file of a lock; number 0 where it was never taken.
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
  // A slow process may have made a number that was used and deleted already: only the highest holds the lock.
  const lower = numbers(path).sort((a, b) => a - b);
  if (lower.pop() !== number) {
    unlinkSync(own);
    return null;
  }
  for (const old of lower) tryTo(() => unlinkSync(`${path}.${old}`));
  return own;
}

/**
 * Whether a lock may be taken: never taken, given back, or its holder is dead.
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
 * A holder on another machine, or in another container, cannot be asked for: it lives while it touches its file.
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
 * The time by the clock that stamps files there, which may be a file server's.
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

/** Names the set of processes among which a pid means the same: host, boot and pid namespace. */
function machine() {
  knownMachine ??= [
    hostname(),
    tryTo(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()) ?? "",
    tryTo(() => readlinkSync("/proc/self/ns/pid")) ?? "",
  ].join(" ");
  return knownMachine;
}

/**
 * When a process started, in whatever unit the system gives; null where no such process runs. A pid alone may be reused.
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
