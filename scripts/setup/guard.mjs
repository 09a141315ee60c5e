// Runs one command in a separate process group and ends the whole group when the set-up that started it ends, whether by Ctrl-C or by
// SIGKILL. The guard notices this because its standard input is closed. So no compiler or download of an interrupted set-up keeps writing
// while the next set-up runs.
import { spawn } from "node:child_process";

const [command = "", ...args] = process.argv.slice(2);
const child = spawn(command, args, { detached: true, stdio: ["ignore", "inherit", "inherit"] });

const GRACE_MS = 2_000;
let ending = false;

/** SIGTERM is sent first: ninja gives each compiler a separate group, and ends the compilers itself on SIGTERM. */
function endGroup() {
  if (ending) return;
  ending = true;
  signalGroup("SIGTERM");
  // The guard ends only after the command, because the set-up's locks are held until then.
  setTimeout(() => signalGroup("SIGKILL"), GRACE_MS);
}

/** @param {NodeJS.Signals} signal */
function signalGroup(signal) {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // The group has already ended.
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
