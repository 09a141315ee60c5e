// Starts a process that takes training steps on request: it answers each line of JSON with one line.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** @import { Side } from "./types.d.ts" */

/** @param {string} path */
const file = (path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: Record<string, string>, says: string }} options
 * @returns {Promise<Side>}
 */
export async function start(command, args, { env = {}, says }) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, ...env } });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${command} ended: ${says}`);
    return JSON.parse(value);
  };
  const hello = await answer();
  const ask = (/** @type {unknown} */ request) => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    return answer();
  };
  return {
    hello,
    ask,
    make: ask,
    train: ask,
    /** Waits until the process has ended, so that it does not disturb later measurements. */
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.stdin.end();
      await once(child, "exit");
    },
  };
}

/** @param {Record<string, string>} env */
export const startOurs = (env = {}) =>
  start(process.execPath, [file("ours.mjs")], { env, says: "is the package built?" });

/**
 * @param {string} python
 * @param {Record<string, string>} env
 */
export const startPeer = (python, env) =>
  start(python, ["-B", "-W", "ignore", file("peers/train.py")], {
    env: { TORCH_LOGS: "-all", ...env },
    says: "does it have scripts/requirements/train-peers.txt?",
  });
