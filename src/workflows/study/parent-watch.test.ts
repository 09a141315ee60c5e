import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { expect, it } from "vitest";
import { startNode } from "../../../test/support/node-process.ts";

const WATCH = pathToFileURL(join(import.meta.dirname, "../../../dist/workflows/study/parent-watch.js")).href;

/** A process that watches its parent and then blocks its main thread for a minute, as a long operator does. */
const CHILD = `
const { Worker } = require("node:worker_threads");
const workerData = { parent: process.ppid, graceMs: 200 };
new Worker(new URL(${JSON.stringify(WATCH)}), { workerData }).on("online", () => {
  process.send(process.pid);
  setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000), 100);
});`;
const PARENT = `
const { spawn } = require("node:child_process");
const child = spawn(process.execPath, ["-e", ${JSON.stringify(CHILD)}], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
child.on("message", (pid) => console.log(pid));`;

const lives = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

it("a process whose parent was killed ends soon, though its main thread is busy", async () => {
  const parent = startNode(["-e", PARENT]);
  while (!parent.text.out.includes("\n")) await wait(10);
  const pid = Number(parent.text.out);
  await wait(400);
  expect(lives(pid)).toBe(true);
  parent.child.kill("SIGKILL");
  await parent.ended;
  for (let waited = 0; lives(pid) && waited < 20_000; waited += 50) await wait(50);
  expect(lives(pid)).toBe(false);
});
