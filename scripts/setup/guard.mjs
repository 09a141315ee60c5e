// Runs one command in a process group of its own and ends the whole group when the set-up that asked for it goes away,
// by Ctrl-C or SIGKILL alike: its end of our standard input closes. So no compiler or download outlives an interrupted
// set-up and writes under the feet of the next one.
import { spawn } from "node:child_process";

const [command = "", ...args] = process.argv.slice(2);
const child = spawn(command, args, { detached: true, stdio: ["ignore", "inherit", "inherit"] });

const GRACE_MS = 2_000;
let ending = false;

/** SIGTERM first: ninja gives each compiler a group of its own and ends them itself when it is asked to. */
function endGroup() {
  if (ending) return;
  ending = true;
  signalGroup("SIGTERM");
  // The guard ends when the command has: set-up's locks stay taken until then.
  setTimeout(() => signalGroup("SIGKILL"), GRACE_MS);
}

/** @param {NodeJS.Signals} signal */
function signalGroup(signal) {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // It has ended already.
  }
}

child.on("error", (error) => {
  process.stderr.write(`${command}: ${error.message}\n`);
  process.exit(127);
});
child.on("exit", (code, signal) => {
  if (ending) signalGroup("SIGKILL");
  if (signal && !ending) process.stderr.write(`${command}: ended by ${signal}\n`);
  process.exit(code ?? 128);
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, endGroup);
process.stdin.on("error", endGroup).on("end", endGroup).on("close", endGroup).resume();
