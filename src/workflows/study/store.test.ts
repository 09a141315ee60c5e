import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { doneRun, failedRun, gridOf, gridRuns } from "../../../test/support/grid-runs.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { readConfigFile } from "../../cli/config-file.ts";
import { runsOf } from "./grid-runs.ts";
import type { GridRun } from "./records.ts";
import { Store } from "./store.ts";

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = temporaryFolder("store");
  store = new Store(join(folder, "study"));
  await store.prepare();
});

const [run, other] = gridRuns({ seeds: 1 }) as [GridRun, GridRun];
const place = (id: string) => join(store.folder, "cells", `${id}.json`);
const put = (text: string) => writeFileSync(place(run.id), text);
const claimOf = (pid: number) => JSON.stringify({ host: hostname(), pid, began: "1" });

describe("a store", () => {
  it("has folders for runs and claims only while they contain something", () => {
    const release = store.claim(run.id);
    store.removeEmptyFolders();
    expect(store.holder(run.id)).not.toBeNull();
    release?.();
    mkdirSync(store.runDirectory(run.id), { recursive: true });
    store.removeEmptyFolders();
    expect(readdirSync(store.folder).sort()).toEqual(["cells", "runs"]);
    rmSync(store.runDirectory(run.id), { recursive: true });
    store.removeEmptyFolders();
    expect(readdirSync(store.folder)).toEqual(["cells"]);
  });

  it("can be claimed while another process keeps removing the folder of the claims", async () => {
    const path = JSON.stringify(store.claimPath("x").replace(/.x\.lock$/, ""));
    const program = `const { rmdirSync } = require("node:fs"); process.send(0); for (;;) try { rmdirSync(${path}) } catch {}`;
    const remover = fork("-e", [program], { execArgv: [], stdio: ["ignore", "ignore", "inherit", "ipc"] });
    try {
      await once(remover, "message");
      for (let attempt = 0; attempt < 300; attempt++) {
        const release = store.claim(run.id);
        expect(store.holder(run.id)).not.toBeNull();
        release?.();
      }
    } finally {
      remover.kill("SIGKILL");
    }
  });

  it("stores a record, and returns it with the names of its run in the current grid", async () => {
    await store.write(doneRun(run, { seconds: 7 }));
    expect(await store.read(run)).toEqual(doneRun(run, { seconds: 7 }));
    const renamed: GridRun = { ...run, model: "CNN", dataset: "digits", method: "none", kind: "control" };
    expect(await store.read(renamed)).toMatchObject({
      model: "CNN",
      dataset: "digits",
      method: "none",
      kind: "control",
      seconds: 7,
    });
    expect(await store.read(other)).toBeNull();
    expect(readdirSync(join(store.folder, "cells"))).toEqual([`${run.id}.json`]);
  });

  it.each([
    ["torn", () => JSON.stringify(doneRun(run)).slice(0, 900)],
    ["empty", () => ""],
    ["of another run", () => JSON.stringify({ ...doneRun(other), id: run.id })],
    ["of another format", () => JSON.stringify({ ...doneRun(run), schemaVersion: 2 })],
    ["without its test figures", () => JSON.stringify({ ...doneRun(run), test: undefined })],
    ["no object", () => "3"],
    ["null", () => "null"],
  ])("ignores a record that is %s, and moves it away when the run is trained again", async (_, text) => {
    put(text());
    expect(await store.read(run)).toBeNull();
    expect(await store.state(run)).toBe("damaged");
    await store.write(doneRun(run));
    expect(await store.read(run)).toEqual(doneRun(run));
    const [aside, ...more] = readdirSync(join(store.folder, "damaged"));
    expect(more).toEqual([]);
    expect(readFileSync(join(store.folder, "damaged", aside as string), "utf8")).toBe(text());
  });

  it("replaces a failed record in place", async () => {
    await store.write(failedRun(run));
    await store.write(doneRun(run));
    expect(await store.read(run)).toMatchObject({ status: "done" });
    expect(existsSync(join(store.folder, "damaged"))).toBe(false);
  });

  it("can be merged by copying records", async () => {
    await store.write(doneRun(run));
    const second = new Store(join(folder, "elsewhere"));
    await second.prepare();
    await second.write(doneRun(other));
    cpSync(join(second.folder, "cells"), join(store.folder, "cells"), { recursive: true });
    expect([(await store.read(run))?.id, (await store.read(other))?.id]).toEqual([run.id, other.id]);
  });

  it("reports the state of each run", async () => {
    expect(await store.state(run)).toBe("to do");
    mkdirSync(join(store.runDirectory(run.id), "checkpoints"), { recursive: true });
    writeFileSync(join(store.runDirectory(run.id), "checkpoints", "last.safetensors"), "");
    expect(await store.state(run)).toBe("begun");
    const release = store.claim(run.id);
    expect(await store.state(run)).toBe("running");
    release?.();
    await store.write(failedRun(run));
    expect(await store.state(run)).toBe("failed");
    await store.write(doneRun(run));
    expect(await store.state(run)).toBe("done");
  });

  it("lets one process at a time claim a run, and replaces the claim of one that has ended", () => {
    const release = store.claim(run.id);
    expect(store.holder(run.id)).toBe(`process ${process.pid} on ${hostname()}`);
    expect(store.claim(run.id)).toBeNull();
    expect(store.claim(other.id)).not.toBeNull();
    release?.();
    expect(store.holder(run.id)).toBeNull();
    const gone = Number(execFileSync(process.execPath, ["-p", "process.pid"], { encoding: "utf8" }));
    writeFileSync(store.claimPath(run.id), claimOf(gone));
    expect(store.holder(run.id)).toBeNull();
    expect(store.claim(run.id)).not.toBeNull();
  });

  it("reports the reason if a claim cannot be made", () => {
    mkdirSync(store.claimPath(run.id), { recursive: true });
    expect(() => store.claim(run.id)).toThrow(expect.objectContaining({ code: "E_IO" }));
    expect(() => store.holder(run.id)).toThrow(expect.objectContaining({ code: "E_IO" }));
  });

  it("knows whether a record is newer than a moment", async () => {
    expect(await store.isAfter(run.id, 0)).toBe(false);
    await store.write(failedRun(run));
    utimesSync(place(run.id), 100, 100);
    expect(await store.isAfter(run.id, 99_999)).toBe(true);
    expect(await store.isAfter(run.id, 100_000)).toBe(false);
    const ahead = Date.now() / 1000 + 3600;
    utimesSync(join(store.folder, "cells", `${run.id}.json`), ahead, ahead);
    expect(await store.isAfter(run.id, 99_999)).toBe(false);
  });

  it("deletes temporary files that a killed process left of one run's record, and nothing else", async () => {
    const left = (name: string) => join(store.folder, "cells", name);
    const [mine, others] = [`.${run.id}.json-0123456789ab.tmp`, `.${other.id}.json-0123456789ab.tmp`];
    for (const name of [mine, others, "notes.txt"]) writeFileSync(left(name), "");
    await store.sweep(run.id);
    expect(readdirSync(join(store.folder, "cells")).sort()).toEqual([others, "notes.txt"]);
  });

  it("writes the grid as a file that describes the same grid, whatever its names", async () => {
    const grid = gridOf({
      name: "odd",
      models: [
        { name: "yes: no # 1e3", model: "simple-cnn" },
        { name: "007", model: "resnet18", width: 16 },
      ],
      methods: [
        { name: "true", plain: true },
        { name: "λ ½", kind: "control", lambdaPrototype: 1e-7 },
      ],
      seeds: [3],
    });
    expect(await store.threads()).toBeNull();
    await store.writeGrid(grid, 4);
    expect(await store.threads()).toBe(4);
    const again = gridOf(await readConfigFile(join(store.folder, "grid.yaml")));
    expect(again).toEqual(grid);
    expect(runsOf(again)).toEqual(runsOf(grid));
  });

  it("can be made in a new folder, an empty one, or one of its own, but in no other", async () => {
    await new Store(store.folder).prepare();
    const strange = join(folder, "strange");
    mkdirSync(strange);
    await new Store(strange).prepare();
    const taken = join(folder, "taken");
    mkdirSync(taken);
    writeFileSync(join(taken, "thesis.tex"), "");
    await expect(new Store(taken).prepare()).rejects.toThrow(
      /taken contains thesis.tex but no results of a grid .*another --name/,
    );
    expect(readdirSync(taken)).toEqual(["thesis.tex"]);
    await expect(new Store(join(taken, "thesis.tex")).prepare()).rejects.toMatchObject({ code: "E_IO" });
  });

  it("names the record that cannot be read", async () => {
    mkdirSync(place(run.id));
    await expect(store.read(run)).rejects.toMatchObject({
      code: "E_IO",
      message: expect.stringContaining(place(run.id)),
    });
  });
});
