import { fork } from "node:child_process";
import { readFile } from "node:fs/promises";

/** @typedef {{ begin?: number, end?: number, found?: string, done?: boolean }} Message a message of a child about a case */
/** @typedef {{ case: number, fault: string }} Fault */

/** A case that takes longer counts as a hang. */
const PATIENCE_MS = 30_000;

/**
 * Runs cases `first` to `last` of a program in child processes. A child sends `{ begin: case }` before a case and `{ end: case, found }`
 * after it, where `found` is "fine", "refused", or the description of a fault. A child that crashes or hangs is replaced by another one,
 * which continues with the next case, so that every case is counted. On Linux, a child that holds more memory than `mostBytes` is
 * ended too.
 * @returns the numbers of fine and refused cases, and every fault with its case
 * @param {string} program
 * @param {{ first: number, last: number, args?: string[], mostBytes?: number, onProgress?: (at: number, faults: number) => void, onFault?: (fault: Fault) => void }} options
 */
export async function watch(program, options) {
  const { first, last, args = [], mostBytes = Infinity, onProgress = () => {}, onFault = () => {} } = options;
  const counts = { fine: 0, refused: 0 };
  /** @type {Fault[]} */
  const faults = [];
  const add = (/** @type {Fault} */ fault) => {
    faults.push(fault);
    onFault(fault);
  };
  let next = first;
  while (next <= last) {
    const onEnd = (/** @type {number} */ at, /** @type {string} */ found) => {
      if (found === "fine" || found === "refused") counts[found]++;
      else add({ case: at, fault: found });
      onProgress(at, faults.length);
    };
    const { reached, fault, began } = await watchChild(program, [...args, String(next), String(last)], {
      onEnd,
      mostBytes,
    });
    if (!began) throw new Error(`the program does not start: ${fault}`);
    if (fault !== null) add({ case: reached, fault });
    next = reached + 1;
  }
  return { ...counts, faults };
}

/**
 * @param {string} program
 * @param {string[]} args
 * @param {{ onEnd: (at: number, found: string) => void, mostBytes: number }} options
 * @returns {Promise<{ reached: number, fault: string | null, began: boolean }>}
 */
function watchChild(program, args, { onEnd, mostBytes }) {
  return new Promise((resolve) => {
    const child = fork(program, ["--child", ...args], { stdio: ["ignore", "ignore", "pipe", "ipc"] });
    let current = Number(args.at(-2));
    let finished = false;
    let began = false;
    let words = "";
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        words = "HANG";
        child.kill("SIGKILL");
      }, PATIENCE_MS);
    };
    wait();
    const memory = setInterval(async () => {
      const bytes = await residentBytes(child.pid);
      if (bytes <= mostBytes) return;
      words = `MEMORY: ${Math.round(bytes / 2 ** 20)} MiB`;
      child.kill("SIGKILL");
    }, 100);
    child.stderr?.on("data", (text) => {
      words = (words + text).slice(-400);
    });
    child.on("message", (message) => {
      const { begin, end, found = "", done } = /** @type {Message} */ (message);
      wait();
      if (begin !== undefined) [current, finished, began] = [begin, false, true];
      if (end !== undefined) {
        finished = true;
        onEnd(end, found);
      }
      if (done) [current, finished] = [Number(args.at(-1)), true];
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      clearInterval(memory);
      const fault = finished && code === 0 ? null : `${signal ?? `exit code ${code}`}: ${words.trim()}`;
      resolve({ reached: current, fault: finished ? null : fault, began });
    });
  });
}

/**
 * The memory that a process holds, or 0 if the system does not say.
 *
 * @param {number | undefined} pid
 */
async function residentBytes(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
}

/**
 * Runs one case after another and reports each; called in the child process.
 *
 * @param {(at: number) => Promise<string>} runCase
 * @param {{ first: number, last: number }} range
 */
export async function runCases(runCase, { first, last }) {
  /** @param {Message} message */
  const send = (message) => new Promise((resolve) => process.send?.(message, resolve));
  for (let at = first; at <= last; at++) {
    await send({ begin: at });
    await send({ end: at, found: await runCase(at) });
  }
  await send({ done: true });
  process.disconnect();
}

/**
 * Runs a function and describes its outcome: "fine", "refused" for a BatchCamError, or the text of any other error.
 *
 * @param {() => unknown} fn
 */
export async function outcomeOf(fn) {
  try {
    await fn();
    return "fine";
  } catch (error) {
    if (error instanceof Error && error.name === "BatchCamError" && error.message !== "") return "refused";
    return `raw error: ${String(error instanceof Error ? error.stack : error).slice(0, 500)}`;
  }
}
