// Replaces the process of a grid's run in tests. Its method's name says what it does. It writes its start and end into the store's log.
import { appendFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const DOES = {
  works: async (job) => {
    process.send({ step: 5, steps: 10, trainImages: 100 });
    await new Promise((resolve) => setTimeout(resolve, 150));
    return record(job);
  },
  dies: () => process.kill(process.pid, "SIGKILL"),
  stumbles: () => {
    process.stderr.write("a leg is missing\n");
    return 3;
  },
  lies: () => 0, // exits as "recorded" without a record
  "is told to end": () => process.kill(process.pid, "SIGTERM"),
  "waits to be stopped": () => new Promise((resolve) => process.once("message", () => resolve(130))),
  "takes the store away": async ({ folder }) => {
    renameSync(folder, `${folder}-gone`);
    writeFileSync(folder, "");
    return 0;
  },
};

function record({ run, folder, threads }) {
  const test = { accuracy: 1, crossEntropy: 0, images: 1 };
  const samples = { classNames: [], labels: [], images: [], maps: [] };
  const numbers = { test, history: [], samples, environment: { threads } };
  const text = JSON.stringify({ ...run, schemaVersion: 1, status: "done", ...numbers });
  writeFileSync(join(folder, "cells", `${run.id}.json`), text);
  return 0;
}

process.once("message", async (job) => {
  const note = (what) => appendFileSync(join(job.folder, "log"), `${what} ${job.run.id}\n`);
  note("begins");
  const code = await DOES[job.run.method](job);
  if (job.run.method === "works") note("ends");
  process.exit(code);
});
