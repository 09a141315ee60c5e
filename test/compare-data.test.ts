import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import type { DoneRun } from "../src/workflows/study/records.ts";
import { drawClass } from "./support/image-folder.ts";
import { BIN, runNode } from "./support/node-process.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const folder = temporaryFolder("compare-data");

const cli = (...argv: string[]) =>
  runNode([BIN, ...argv], { cwd: folder, env: { BATCH_CAM_CACHE: join(folder, "cache") } });

const gridOf = (dataDir: string) => `
base: { imageSize: 16, imageChannels: 1, epochs: 1, batchSize: 32, lambdaWarmup: 0, amp: off }
models: simple-cnn
datasets: [{ name: photos, dataset: folder, dataDir: ${dataDir} }]
methods: [{ name: plain, plain: true }]
seeds: 1
explanations: 0
`;
const runs = () => join(folder, "runs/compare/grid/cells");
const records = () =>
  readdirSync(runs()).map((name) => JSON.parse(readFileSync(join(runs(), name), "utf8")) as DoneRun);
const compare = (dataDir: string, ...more: string[]) => {
  writeFileSync(join(folder, "grid.yaml"), gridOf(dataDir));
  return cli("compare", "grid.yaml", "--threads", "1", ...more);
};

beforeAll(async () => {
  for (const name of ["bird", "cat", "dog"]) await drawClass(join(folder, "photos"), name, { count: 14 });
});

it("identifies a grid's results by their images: moved images give the same run, changed images another", async () => {
  const first = await compare("photos");
  expect(first.code, first.err).toBe(0);
  const [record] = records() as [DoneRun];
  expect(record.data).toMatch(/^[0-9a-f]{64}$/);

  renameSync(join(folder, "photos"), join(folder, "pictures"));
  const moved = await compare("pictures");
  expect(moved.out).toMatch(/1 of 1 done before/);
  expect(records()).toHaveLength(1);

  await drawClass(join(folder, "pictures"), "cat", { count: 4, from: 100 });
  expect((await compare("pictures", "--list")).out).toMatch(/1 run: 1 to do/);
  const changed = await compare("pictures");
  expect(changed.code, changed.err).toBe(0);
  expect(changed.out).toMatch(/0 of 1 done before/);
  const both = records();
  expect(new Set(both.map(({ data }) => data)).size).toBe(2);
  // The printed table and the report contain only results of the current images.
  expect(changed.out.match(/^simple-cnn +photos +plain +1 /gm)).toHaveLength(1);
  const runs = () => readFileSync(join(folder, "runs/compare/grid/runs.csv"), "utf8").trim().split("\n");
  expect(runs()).toHaveLength(2);

  rmSync(join(folder, "pictures"), { recursive: true });
  const report = await cli("report", "runs/compare/grid");
  expect([report.code, report.err]).toEqual([0, ""]); // the report needs only the records
  expect(runs()).toHaveLength(2);
});

it("reports a store of a version without digests, and runs its runs again with a note", async () => {
  for (const name of ["bird", "cat", "dog"]) await drawClass(join(folder, "old"), name, { count: 14 });
  rmSync(join(folder, "runs"), { recursive: true });
  await compare("old");
  // The record as an earlier version wrote it: without digests, and named by the folder's path.
  const [record] = records() as [DoneRun];
  rmSync(join(folder, "runs/compare/grid/data.json"));
  const { data: _, ...before } = record;
  const { runId } = await import("../src/workflows/study/grid-runs.ts");
  const id = runId(before.config, 0);
  rmSync(join(runs(), `${record.id}.json`));
  writeFileSync(join(runs(), `${id}.json`), JSON.stringify({ ...before, id }));

  const report = await cli("report", "runs/compare/grid");
  expect([report.code, report.err]).toEqual([0, ""]);
  const { code, out, err } = await compare("old");
  expect(code, err).toBe(0);
  expect(err).toMatch(/note: 1 result of an earlier version does not record the images used: its run is repeated/);
  expect(out).toMatch(/0 of 1 done before/);
  expect(existsSync(join(runs(), `${id}.json`))).toBe(true); // the earlier record is kept
  expect(records()).toHaveLength(2);
});
