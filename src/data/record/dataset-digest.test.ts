import { cpSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { datasetDigest } from "./dataset-digest.ts";

let outer: string;
const cacheBefore = process.env.BATCH_CAM_CACHE;

beforeEach(() => {
  outer = temporaryFolder("dataset-digest");
  process.env.BATCH_CAM_CACHE = join(outer, "cache");
  for (const name of ["cat", "dog"]) {
    mkdirSync(join(outer, "set", name), { recursive: true });
    // The files need not be images, because nothing is decoded.
    for (const i of [1, 2]) writeFileSync(join(outer, "set", name, `${i}.png`), `${name} ${i}`);
  }
  writeCsv(["cat/1.png,cat", "dog/1.png,dog", "dog/2.png,dog"]);
});
afterEach(() => {
  if (cacheBefore === undefined) delete process.env.BATCH_CAM_CACHE;
  else process.env.BATCH_CAM_CACHE = cacheBefore;
});

const writeCsv = (rows: string[], head = "path,label") =>
  writeFileSync(join(outer, "set", "set.csv"), [head, ...rows, ""].join("\n"));
const folder = () => datasetDigest("folder", { dataDir: join(outer, "set") });
const csv = () => datasetDigest("csv", { dataDir: join(outer, "set", "set.csv") });

it("is the same for the same images wherever they are", async () => {
  const before = await folder();
  expect(before).toMatch(/^[0-9a-f]{64}$/);
  cpSync(join(outer, "set"), join(outer, "copy"), { recursive: true });
  expect(await datasetDigest("folder", { dataDir: join(outer, "copy") })).toBe(before);
  expect(await datasetDigest("folder", { dataDir: `${join(outer, "copy")}/` })).toBe(before);
});

it("is another where an image is added, gone, changed, renamed, or of another class or split", async () => {
  const seen = new Set([await folder()]);
  const at = (...path: string[]) => join(outer, "set", ...path);
  const changes = [
    () => writeFileSync(at("cat", "3.png"), "cat 3"),
    () => rmSync(at("cat", "3.png")), // the same content as at first
    () => writeFileSync(at("cat", "1.png"), "cat x"),
    () => renameSync(at("cat", "2.png"), at("cat", "9.png")),
    () => renameSync(at("dog", "2.png"), at("cat", "2.png")),
    () => renameSync(at("cat"), at("kitten")),
    () => {
      mkdirSync(at("train"));
      for (const name of ["kitten", "dog"]) renameSync(at(name), at("train", name));
    },
  ];
  for (const change of changes) {
    change();
    seen.add(await folder());
  }
  expect(seen.size).toBe(changes.length);
});

it("of a table goes by its rows, not by their order or its own name", async () => {
  const before = await csv();
  writeCsv(["dog/2.png,dog", "cat/1.png,cat", "dog/1.png,dog"]);
  expect(await csv()).toBe(before);
  renameSync(join(outer, "set", "set.csv"), join(outer, "set", "other.csv"));
  expect(await datasetDigest("csv", { dataDir: join(outer, "set", "other.csv") })).toBe(before);
  const others: string[][] = [
    ["cat/1.png,cat", "dog/1.png,dog", "dog/2.png,cat"],
    ["cat/1.png,cat", "dog/1.png,dog"],
  ];
  for (const rows of others) {
    writeCsv(rows);
    expect(await csv()).not.toBe(before);
  }
  writeCsv(["cat/1.png,cat", "dog/1.png,dog", "dog/2.png,dog", "dog/2.png,dog"]);
  expect(await csv()).toBe(before); // a row that names an image again does not change the digest
  writeCsv(["cat/1.png,cat,train", "dog/1.png,dog,train", "dog/2.png,dog,test"], "path,label,split");
  expect(await csv()).not.toBe(before);
});

it("of a table's masks belongs to it too", async () => {
  const rows = (mask: string) => ["cat/1.png,cat,m.png", "dog/1.png,dog,m.png", `dog/2.png,dog,${mask}`];
  for (const name of ["m.png", "n.png"]) writeFileSync(join(outer, "set", name), name);
  writeCsv(rows("m.png"), "path,label,mask");
  const before = await csv();
  writeCsv(rows("n.png"), "path,label,mask");
  expect(await csv()).not.toBe(before);
});

it("of one file is that of its bytes, and there is none of data sets that come with the package", async () => {
  const file = join(outer, "set.npz");
  writeFileSync(file, "bytes");
  const before = await datasetDigest("npz", { dataDir: file });
  writeFileSync(file, "other");
  expect(await datasetDigest("npz", { dataDir: file })).not.toBe(before);
  expect(await datasetDigest("mnist", { dataDir: outer })).toBeNull();
  await expect(datasetDigest("npz", { dataDir: join(outer, "none.npz") })).rejects.toThrow(/ENOENT/);
});
