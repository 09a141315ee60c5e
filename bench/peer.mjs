// A process that takes training steps when asked to: a line of JSON there, a line back.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const file = (path) => fileURLToPath(new URL(path, import.meta.url));

async function start(command, args, { env = {}, says }) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, ...env } });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${command} ended: ${says}`);
    return JSON.parse(value);
  };
  const hello = await answer();
  return {
    hello,
    ask: (request) => {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      return answer();
    },
    /** Ends when the process has ended, so that its end disturbs nobody. */
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.stdin.end();
      await once(child, "exit");
    },
  };
}

export const startOurs = () => start(process.execPath, [file("ours.mjs")], { says: "is the package built?" });

export const startPeer = (python, env) =>
  start(python, ["-B", "-W", "ignore", file("peers/train.py")], {
    env: { TORCH_LOGS: "-all", ...env },
    says: "does it have scripts/requirements/train-peers.txt?",
  });
