import { readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, it } from "vitest";
import { doneRun, failedRun, gridRuns } from "../../../test/support/grid-runs.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import type { GridRun } from "./records.ts";
import { type GridEvent, type RunGridOptions, runGrid } from "./run-grid.ts";
import { Store } from "./store.ts";

const program = fileURLToPath(new URL("../../../test/programs/fake-grid-run.mjs", import.meta.url));

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = temporaryFolder("grid");
  store = new Store(join(folder, "study"));
  await store.prepare();
});

/** Runs whose processes do what their method's name says, one for each seed. */
const runsThat = (does: string, seeds = 1): GridRun[] => gridRuns({ methods: [{ name: does, plain: true }], seeds });

async function runAll(runs: GridRun[], options: Partial<RunGridOptions> = {}) {
  const events: GridEvent[] = [];
  const { onEvent = () => {} } = options;
  const settings = { store, jobs: 2, threads: 3, explanations: 0, keepFailed: false, keepRuns: false, program };
  const records = await runGrid(runs, {
    ...{ ...settings, signal: new AbortController().signal, ...options },
    onEvent: (event) => {
      events.push(event);
      onEvent(event);
    },
  });
  return { records, events, types: events.map(({ type }) => type) };
}

const log = () => readFileSync(join(store.folder, "log"), "utf8").trimEnd().split("\n");
const begun = () => log().filter((line) => line.startsWith("begins")).length;

describe("runGrid", () => {
  it("trains each run once in a separate process, and returns the records in the order of the runs", async () => {
    const runs = runsThat("works", 5);
    const { records, types } = await runAll(runs);
    expect(records.map(({ id }) => id)).toEqual(runs.map(({ id }) => id));
    expect(new Set(log().filter((line) => line.startsWith("begins"))).size).toBe(5);
    expect(begun()).toBe(5);
    expect(types.filter((type) => type === "end")).toHaveLength(5);
    expect(types).toContain("progress");
    expect(records[0]).toMatchObject({ environment: { threads: 3 } });
  });

  it.each([1, 2, 3])("runs %d at a time", async (jobs) => {
    const { types } = await runAll(runsThat("works", 6), { jobs });
    // Only the order in which the grid starts and ends runs is checked: when a process really starts depends on the machine.
    let now = 0;
    const most = types.map((type) => {
      now += type === "start" ? 1 : type === "end" ? -1 : 0;
      return now;
    });
    expect(Math.max(...most)).toBe(jobs);
  });

  it("runs only runs without a record, such as those that an extended grid adds", async () => {
    await runAll(runsThat("works", 2));
    const { records, events } = await runAll(runsThat("works", 3));
    expect(begun()).toBe(3);
    expect(records).toHaveLength(3);
    expect(events[0]).toMatchObject({ type: "begin", records: [{ seed: 0 }, { seed: 1 }] });
    expect((await runAll(runsThat("works", 3))).types).toEqual(["begin"]);
  });

  it("retries failed runs, unless keepFailed is set", async () => {
    const [run] = runsThat("works") as [GridRun];
    await store.write(failedRun(run));
    expect((await runAll([run], { keepFailed: true })).records).toEqual([failedRun(run)]);
    expect((await runAll([run])).records).toMatchObject([{ status: "done" }]);
    expect(begun()).toBe(1);
  });

  it("runs runs with damaged records again", async () => {
    const [run] = runsThat("works") as [GridRun];
    writeFileSync(join(store.folder, "cells", `${run.id}.json`), '{"schemaVersion":1');
    expect((await runAll([run])).records).toMatchObject([{ status: "done" }]);
  });

  it.each([
    ["dies", /its process was killed by SIGKILL \(the system does that if it runs out of memory: try fewer --jobs\)/],
    ["stumbles", /its process ended with code 3: a leg is missing/],
  ])("records the message of a process that %s, and continues", async (does, message) => {
    const runs = [...runsThat(does), ...runsThat("works", 2).slice(1)];
    const { records } = await runAll(runs, { jobs: 1 });
    expect(records).toMatchObject([
      { status: "failed", error: { code: "E_CRASH", message: expect.stringMatching(message) } },
      { status: "done" },
    ]);
    expect(await store.state(runs[0] as GridRun)).toBe("failed");
  });

  it.each(["is told to end", "lies"])("has no record of a run whose process %s, and continues", async (does) => {
    const runs = [...runsThat(does), ...runsThat("works", 2).slice(1)];
    const { records, types } = await runAll(runs, { jobs: 1 });
    expect(records).toMatchObject([{ status: "done", seed: 1 }]);
    expect(types).toContain("stopped");
  });

  it("stops the running runs if its signal is aborted, and starts no others", async () => {
    const stop = new AbortController();
    const runs = runsThat("waits to be stopped", 4);
    const onEvent = ({ type }: GridEvent) => {
      if (type === "start") setTimeout(() => stop.abort(), 300);
    };
    const { records, types } = await runAll(runs, { signal: stop.signal, onEvent });
    expect(records).toEqual([]);
    expect(begun()).toBe(2);
    expect(types).not.toContain("stopped");
    expect((await runAll(runs, { signal: stop.signal })).types).toEqual(["begin"]);
  });

  it("waits for a run that another process is training, and takes over its record", async () => {
    const runs = runsThat("works", 2) as [GridRun, GridRun];
    const release = store.claim(runs[0].id);
    const onEvent = async ({ type }: GridEvent) => {
      if (type !== "waiting") return;
      await store.write(doneRun(runs[0], { seconds: 99 }));
      release?.();
    };
    const { records, events } = await runAll(runs, { onEvent });
    expect(begun()).toBe(1);
    expect(records).toMatchObject([{ seed: 0, seconds: 99 }, { seed: 1 }]);
    expect(events.filter(({ type }) => type === "waiting")).toEqual([
      { type: "waiting", runs: [runs[0]], holder: `process ${process.pid} on ${hostname()}` },
    ]);
    expect(events.at(-1)).toMatchObject({ type: "end", seconds: null });
  });

  it("takes over a run whose process released it without a record, and does not repeat another's failure", async () => {
    const [left, broken] = runsThat("works", 2) as [GridRun, GridRun];
    const releases = [store.claim(left.id), store.claim(broken.id)];
    const onEvent = async ({ type }: GridEvent) => {
      if (type !== "waiting") return;
      await store.write(failedRun(broken));
      for (const release of releases) release?.();
    };
    const { records } = await runAll([left, broken], { onEvent });
    expect(begun()).toBe(1);
    expect(records).toMatchObject([{ status: "done" }, { status: "failed" }]);
  });

  it("stops waiting if its signal is aborted", async () => {
    const stop = new AbortController();
    const [run] = runsThat("works") as [GridRun];
    store.claim(run.id);
    const { records } = await runAll([run], {
      signal: stop.signal,
      onEvent: ({ type }) => type === "waiting" && stop.abort(),
    });
    expect(records).toEqual([]);
  });

  it("stops all runs and throws the reason if the store fails", async () => {
    const runs = [
      ...runsThat("waits to be stopped"),
      ...gridRuns({ methods: [{ name: "takes the store away", plain: true }], seeds: [1] }),
    ];
    await expect(runAll(runs)).rejects.toMatchObject({ code: "E_IO" });
  });

  it("reports that no process can be started", async () => {
    const path = process.execPath;
    process.execPath = join(folder, "no-such-node");
    try {
      await expect(runAll(runsThat("works"))).rejects.toThrow(/compare: cannot start a process for a run: .*ENOENT/);
    } finally {
      process.execPath = path;
    }
  });
});
