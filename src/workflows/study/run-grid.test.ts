import { readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, it } from "vitest";
import { doneCell, failedCell, gridCells } from "../../../test/support/grid-cells.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import type { Cell } from "./records.ts";
import { type GridEvent, type RunGridOptions, runGrid } from "./run-grid.ts";
import { Store } from "./store.ts";

const program = fileURLToPath(new URL("../../../test/programs/fake-cell.mjs", import.meta.url));

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = temporaryFolder("grid");
  store = new Store(join(folder, "study"));
  await store.prepare();
});

/** Cells whose processes do what their method's name says, one for each seed. */
const cellsThat = (does: string, seeds = 1): Cell[] => gridCells({ methods: [{ name: does, plain: true }], seeds });

async function run(cells: Cell[], options: Partial<RunGridOptions> = {}) {
  const events: GridEvent[] = [];
  const { onEvent = () => {} } = options;
  const settings = { store, jobs: 2, threads: 3, explanations: 0, keepFailed: false, keepRuns: false, program };
  const records = await runGrid(cells, {
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
  it("runs each cell once in a separate process, and returns the records in the order of the cells", async () => {
    const cells = cellsThat("works", 5);
    const { records, types } = await run(cells);
    expect(records.map(({ id }) => id)).toEqual(cells.map(({ id }) => id));
    expect(new Set(log().filter((line) => line.startsWith("begins"))).size).toBe(5);
    expect(begun()).toBe(5);
    expect(types.filter((type) => type === "end")).toHaveLength(5);
    expect(types).toContain("progress");
    expect(records[0]).toMatchObject({ environment: { threads: 3 } });
  });

  it.each([1, 2, 3])("runs %d at a time", async (jobs) => {
    const { types } = await run(cellsThat("works", 6), { jobs });
    // Only the order in which the grid starts and ends cells is checked: when a process really runs depends on the machine.
    let now = 0;
    const most = types.map((type) => {
      now += type === "start" ? 1 : type === "end" ? -1 : 0;
      return now;
    });
    expect(Math.max(...most)).toBe(jobs);
  });

  it("runs only cells without a record, such as those that an extended grid adds", async () => {
    await run(cellsThat("works", 2));
    const { records, events } = await run(cellsThat("works", 3));
    expect(begun()).toBe(3);
    expect(records).toHaveLength(3);
    expect(events[0]).toMatchObject({ type: "begin", records: [{ seed: 0 }, { seed: 1 }] });
    expect((await run(cellsThat("works", 3))).types).toEqual(["begin"]);
  });

  it("retries failed cells, unless keepFailed is set", async () => {
    const [cell] = cellsThat("works") as [Cell];
    await store.write(failedCell(cell));
    expect((await run([cell], { keepFailed: true })).records).toEqual([failedCell(cell)]);
    expect((await run([cell])).records).toMatchObject([{ status: "done" }]);
    expect(begun()).toBe(1);
  });

  it("runs cells with damaged records again", async () => {
    const [cell] = cellsThat("works") as [Cell];
    writeFileSync(join(store.folder, "cells", `${cell.id}.json`), '{"schemaVersion":1');
    expect((await run([cell])).records).toMatchObject([{ status: "done" }]);
  });

  it.each([
    ["dies", /its process was killed by SIGKILL \(the system does that if it runs out of memory: try fewer --jobs\)/],
    ["stumbles", /its process ended with code 3: a leg is missing/],
  ])("records the message of a process that %s, and continues", async (does, message) => {
    const cells = [...cellsThat(does), ...cellsThat("works", 2).slice(1)];
    const { records } = await run(cells, { jobs: 1 });
    expect(records).toMatchObject([
      { status: "failed", error: { code: "E_CRASH", message: expect.stringMatching(message) } },
      { status: "done" },
    ]);
    expect(await store.state(cells[0] as Cell)).toBe("failed");
  });

  it.each(["is told to end", "lies"])("has no record of a cell whose process %s, and continues", async (does) => {
    const cells = [...cellsThat(does), ...cellsThat("works", 2).slice(1)];
    const { records, types } = await run(cells, { jobs: 1 });
    expect(records).toMatchObject([{ status: "done", seed: 1 }]);
    expect(types).toContain("stopped");
  });

  it("stops the running cells if its signal is aborted, and starts no others", async () => {
    const stop = new AbortController();
    const cells = cellsThat("waits to be stopped", 4);
    const onEvent = ({ type }: GridEvent) => {
      if (type === "start") setTimeout(() => stop.abort(), 300);
    };
    const { records, types } = await run(cells, { signal: stop.signal, onEvent });
    expect(records).toEqual([]);
    expect(begun()).toBe(2);
    expect(types).not.toContain("stopped");
    expect((await run(cells, { signal: stop.signal })).types).toEqual(["begin"]);
  });

  it("waits for a cell that another process is training, and takes over its record", async () => {
    const cells = cellsThat("works", 2) as [Cell, Cell];
    const release = store.claim(cells[0].id);
    const onEvent = async ({ type }: GridEvent) => {
      if (type !== "waiting") return;
      await store.write(doneCell(cells[0], { seconds: 99 }));
      release?.();
    };
    const { records, events } = await run(cells, { onEvent });
    expect(begun()).toBe(1);
    expect(records).toMatchObject([{ seed: 0, seconds: 99 }, { seed: 1 }]);
    expect(events.filter(({ type }) => type === "waiting")).toEqual([
      { type: "waiting", cells: [cells[0]], holder: `process ${process.pid} on ${hostname()}` },
    ]);
    expect(events.at(-1)).toMatchObject({ type: "end", seconds: null });
  });

  it("takes over a cell whose process released it without a record, and does not repeat another's failure", async () => {
    const [left, broken] = cellsThat("works", 2) as [Cell, Cell];
    const releases = [store.claim(left.id), store.claim(broken.id)];
    const onEvent = async ({ type }: GridEvent) => {
      if (type !== "waiting") return;
      await store.write(failedCell(broken));
      for (const release of releases) release?.();
    };
    const { records } = await run([left, broken], { onEvent });
    expect(begun()).toBe(1);
    expect(records).toMatchObject([{ status: "done" }, { status: "failed" }]);
  });

  it("stops waiting if its signal is aborted", async () => {
    const stop = new AbortController();
    const [cell] = cellsThat("works") as [Cell];
    store.claim(cell.id);
    const { records } = await run([cell], {
      signal: stop.signal,
      onEvent: ({ type }) => type === "waiting" && stop.abort(),
    });
    expect(records).toEqual([]);
  });

  it("stops all cells and throws the reason if the store fails", async () => {
    const cells = [
      ...cellsThat("waits to be stopped"),
      ...gridCells({ methods: [{ name: "takes the store away", plain: true }], seeds: [1] }),
    ];
    await expect(run(cells)).rejects.toMatchObject({ code: "E_IO" });
  });

  it("reports that no process can be started", async () => {
    const path = process.execPath;
    process.execPath = join(folder, "no-such-node");
    try {
      await expect(run(cellsThat("works"))).rejects.toThrow(/compare: cannot start a process for a run: .*ENOENT/);
    } finally {
      process.execPath = path;
    }
  });
});
