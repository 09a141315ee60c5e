import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type DatasetOptions, disposeDataset, loadDataset } from "./index.ts";

let outer: string;
let folder: string;
const cacheBefore = process.env.BATCH_CAM_CACHE;

beforeEach(async () => {
  outer = await mkdtemp(join(tmpdir(), "csv-set-"));
  folder = join(outer, "set");
  process.env.BATCH_CAM_CACHE = join(outer, "cache");
  await mkdir(join(folder, "images"), { recursive: true });
  for (const [name, grey] of Object.entries({ a: 10, b: 200, c: 30, d: 220 })) {
    const background = { r: grey, g: grey, b: grey };
    await sharp({ create: { width: 8, height: 8, channels: 3, background } }).toFile(
      join(folder, `images/${name}.png`),
    );
  }
  const half = Buffer.alloc(64).fill(255, 0, 32);
  await sharp(half, { raw: { width: 8, height: 8, channels: 1 } }).toFile(join(folder, "mask.png"));
});
afterEach(async () => {
  if (cacheBefore === undefined) delete process.env.BATCH_CAM_CACHE;
  else process.env.BATCH_CAM_CACHE = cacheBefore;
  await rm(outer, { recursive: true });
});

async function load(lines: readonly string[], options: DatasetOptions = {}) {
  const file = join(folder, "set.csv");
  await writeFile(file, lines.join("\n"));
  return loadDataset("csv", { dataDir: file, imageSize: 8, imageChannels: 1, testFraction: 0.5, ...options });
}

const labels = (t: { data(): unknown }): number[] => Array.from(t.data() as BigInt64Array, Number);
const failing = (lines: readonly string[]) => expect(load(lines)).rejects;
const WHOLE = [
  "images/a.png,dark,train",
  "images/b.png,light,train",
  "images/c.png,dark,test",
  "images/d.png,light,val",
];

describe("a CSV file of images", () => {
  it("names their classes and splits, in any order of columns, quoted or not, with a byte order mark", async () => {
    const set = await load([
      "\ufeffsplit,label,path",
      'train,"light, very",images/b.png',
      "train,dark,images/a.png",
      "",
      'val,"light, very",images/d.png',
      "test,dark,images/c.png",
    ]);
    expect(set.classNames).toEqual(["dark", "light, very"]);
    expect(labels(set.train.labels)).toEqual([1, 0]);
    expect(set.val && labels(set.val.labels)).toEqual([1]);
    expect(labels(set.test.labels)).toEqual([0]);
    expect((set.test.images.data() as Uint8Array)[0]).toBe(30);
    expect(set.train.masks).toBeUndefined();
    disposeDataset(set);
  });

  it("without splits has a share of each class held out", async () => {
    const set = await load(["path,label", "images/a.png,x", "images/b.png,y", "images/c.png,x", "images/d.png,y"]);
    expect([labels(set.train.labels).sort(), labels(set.test.labels).sort()]).toEqual([
      [0, 1],
      [0, 1],
    ]);
    disposeDataset(set);
  });

  it("may name masks, of all images of a split", async () => {
    const set = await load([
      "path,label,split,mask",
      ...WHOLE.map((row) => (row.includes("train") ? `${row},mask.png` : `${row},`)),
    ]);
    expect(set.train.masks?.shape).toEqual([2, 8, 8]);
    const values = Array.from(set.train.masks?.data() as Uint8Array, Number);
    expect(values.slice(0, 64)).toEqual([...new Array(32).fill(1), ...new Array(32).fill(0)]);
    expect(set.test.masks).toBeUndefined();
    disposeDataset(set);
    await failing([
      "path,label,split,mask",
      ...WHOLE.map((row, i) => (i === 0 ? `${row},mask.png` : `${row},`)),
    ]).toMatchObject({
      message: expect.stringMatching(/1 of 2 images of train have a mask/),
    });
  });

  it.each([
    ["no column for labels", ["path,split", "images/a.png,train"], /lacks the column label/],
    ["an unknown column", ["path,label,weight", "images/a.png,x,1"], /unknown column "weight"/],
    [
      "an unknown split",
      ["path,label,split", "images/a.png,x,dev"],
      /line 2: split must be train, val or test, got "dev"/,
    ],
    ["rows of other lengths", ["path,label", "images/a.png,x,y"], /is no CSV .*line 2/],
    ["one class", ["path,label", "images/a.png,x", "images/b.png,x"], /two classes or more in train, got 1/],
    ["an empty label", ["path,label", "images/a.png,x", "images/b.png,", "images/c.png,y"], /line 3: label is empty/],
    ["an empty path", ["path,label", "images/a.png,x", ",y"], /line 3: path is empty/],
    ["nothing", [""], /lacks the column path and label/],
  ])("is refused with %s", async (_, lines, message) => {
    await failing(lines).toMatchObject({ code: "E_DATA", message: expect.stringMatching(message) });
  });

  it("names the line of the file also after blank lines and quoted line breaks", async () => {
    await failing(["path,label,split", "", ...WHOLE, "", '"images/a.png","gr', 'ey",test']).toMatchObject({
      message: expect.stringMatching(/line 9: label "gr\ney" is not in train/),
    });
  });

  it("leaves out an image whose mask cannot be read, where files that cannot be read are left out", async () => {
    await writeFile(join(folder, "broken.png"), "no image");
    const rows = WHOLE.map((row, i) =>
      row.includes("train") ? `${row},${i === 0 ? "broken" : "mask"}.png` : `${row},`,
    );
    const lines = [
      "path,label,split,mask",
      ...rows,
      "images/a.png,light,train,mask.png",
      "images/b.png,dark,train,mask.png",
    ];
    await failing(lines).toMatchObject({ code: "E_DATA", message: expect.stringMatching(/broken\.png/) });
    const set = await load(lines, { badImages: "skip" });
    expect([set.train.images.shape[0], set.train.masks?.shape[0], set.train.labels.numel]).toEqual([3, 3, 3]);
    expect(set.warnings).toEqual([expect.stringMatching(/left out: .*broken\.png/)]);
    disposeDataset(set);
  });

  it("has no mask on the margins that bring an image to its size", async () => {
    await sharp({ create: { width: 16, height: 8, channels: 3, background: "black" } }).toFile(
      join(folder, "dark.png"),
    );
    const rows = WHOLE.map((row) => (row.includes("train") ? `${row},dark.png` : `${row},`));
    const set = await load(["path,label,split,mask", ...rows], { imageFit: "contain" });
    expect(Array.from(set.train.masks?.data() as Uint8Array).some(Boolean)).toBe(false);
    disposeDataset(set);
  });

  it("is refused where it is no regular file, without waiting for one", async () => {
    execFileSync("mkfifo", [join(folder, "pipe.csv")]);
    await expect(loadDataset("csv", { dataDir: join(folder, "pipe.csv") })).rejects.toMatchObject({ code: "E_DATA" });
  });

  it("is refused with a label that train lacks, by its line", async () => {
    await failing(["path,label,split", ...WHOLE, "images/a.png,grey,test"]).toMatchObject({
      message: expect.stringMatching(/line 6: label "grey" is not in train/),
    });
  });

  it("is refused with a path that leaves its folder, by .., from the root or by a link", async () => {
    await writeFile(join(outer, "secret.png"), "x");
    await symlink(join(outer, "secret.png"), join(folder, "link.png"));
    for (const [path, message] of [
      ["../secret.png", /line 3: path "..\/secret.png" leaves the folder/],
      ["images/../../secret.png", /leaves the folder/],
      [join(outer, "secret.png"), /leaves the folder/],
      ["link.png", /line 3: path "link.png" is a link that leaves the folder/],
    ] as const)
      await failing(["path,label", "images/a.png,x", `${path},y`]).toMatchObject({
        code: "E_DATA",
        message: expect.stringMatching(message),
      });
  });

  it("names a file that is not there", async () => {
    await failing(["path,label,split", ...WHOLE, "images/none.png,dark,train"]).toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/none\.png/),
    });
    await expect(loadDataset("csv", { dataDir: join(folder, "none.csv") })).rejects.toMatchObject({ code: "E_DATA" });
    await expect(loadDataset("csv")).rejects.toMatchObject({ code: "E_CONFIG" });
  });
});
