import { execFileSync } from "node:child_process";
import { copyFile, cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { type DatasetOptions, disposeDataset, loadDataset } from "../index.ts";

const input = (name: string) => fileURLToPath(new URL(`../../../test/fixtures/inputs/${name}`, import.meta.url));

let outer: string;
let folder: string;
const cacheBefore = process.env.BATCH_CAM_CACHE;

beforeEach(async () => {
  outer = temporaryFolder("csv-set");
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
      message: expect.stringMatching(/1 of 2 images of train has a mask/),
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
    ["rows of other lengths", ["path,label", "images/a.png,x,y"], /is not a valid CSV file .*line 2/],
    ["one class", ["path,label", "images/a.png,x", "images/b.png,x"], /two classes or more in train, got 1/],
    [
      "the same column twice",
      ["path,label,label", "images/a.png,x,y", "images/b.png,y,x"],
      /names the column "label" twice in its header "path,label,label"/,
    ],
    [
      "the same column twice in other letters",
      ["path,label,Path", "images/a.png,x,y"],
      /names the column "path" twice/,
    ],
    [
      "a column without a name that is not the first",
      ["path,label,", "images/a.png,x,1", "images/b.png,y,2"],
      /unknown column ""; known are path, label, split, mask/,
    ],
    [
      "an image in two splits",
      ["path,label,split", ...WHOLE, "./images/a.png,dark,test"],
      /line 6: path "\.\/images\/a\.png", which line 2 names too, is in train there and in test here/,
    ],
    [
      "an image of two classes",
      ["path,label", "images/a.png,x", "images/b.png,y", "images/a.png,y"],
      /line 4: path "images\/a\.png", which line 2 names too, has the label "x" there and "y" here/,
    ],
    [
      "labels that differ only in case",
      ["path,label", "images/a.png,Cat", "images/b.png,cat", "images/c.png,dog"],
      /classes "Cat" and "cat" differ only in case; give them one name, or two/,
    ],
    [
      "a label of test that differs from train's by case alone",
      ["path,label,split", ...WHOLE, "mask.png,Dark,test"],
      /classes "dark" and "Dark" differ only in case/,
    ],
    [
      "quotes that are not closed",
      ["path,label", '"images/a.png,x', "images/b.png,y"],
      /is not a valid CSV file \(Quote Not Closed/,
    ],
    ["an empty label", ["path,label", "images/a.png,x", "images/b.png,", "images/c.png,y"], /line 3: label is empty/],
    ["an empty path", ["path,label", "images/a.png,x", ",y"], /line 3: path is empty/],
    ["nothing", [""], /lacks the column path and label; it is empty/],
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
      "images/e.png,light,train,mask.png",
      "images/f.png,dark,train,mask.png",
    ];
    await copyFile(join(folder, "images/b.png"), join(folder, "images/e.png"));
    await copyFile(join(folder, "images/a.png"), join(folder, "images/f.png"));
    await failing(lines).toMatchObject({ code: "E_DATA", message: expect.stringMatching(/broken\.png/) });
    const set = await load(lines, { badImages: "skip" });
    expect([set.train.images.shape[0], set.train.masks?.shape[0], set.train.labels.numel]).toEqual([3, 3, 3]);
    expect(set.warnings).toContainEqual(expect.stringMatching(/left out: .*broken\.png/));
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

  it("is refused if it is not a regular file, without waiting for one", async () => {
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

  it("may have absolute paths inside its folder, and names its folder by a link", async () => {
    const rows = ["a", "b"].map((name) => `${join(folder, "images", name)}.png,${name}`);
    const set = await load(["path,label", ...rows, "images/c.png,a", "images/d.png,b"]);
    expect([...(set.train.paths ?? []), ...(set.test.paths ?? [])].sort()).toEqual(
      ["a", "b", "c", "d"].map((name) => `images/${name}.png`),
    );
    disposeDataset(set);
    await symlink(folder, join(outer, "link"));
    const linked = await loadDataset("csv", { dataDir: join(outer, "link/set.csv"), imageSize: 8, testFraction: 0.5 });
    expect(linked.train.labels.numel + linked.test.labels.numel).toBe(4);
    disposeDataset(linked);
    await failing(["path,label", "images/a.png,x", "C:\\pictures\\b.png,y"]).toMatchObject({
      message: expect.stringMatching(/line 3: path "C:\\pictures\\b\.png" is an absolute Windows path/),
    });
  });

  it("follows links out of its folder if asked to", async () => {
    await copyFile(join(folder, "images/a.png"), join(outer, "store.png"));
    await symlink(join(outer, "store.png"), join(folder, "link.png"));
    const rows = ["path,label", "link.png,x", "images/b.png,y", "images/c.png,x", "images/d.png,y"];
    await failing(rows).toMatchObject({ message: expect.stringMatching(/--follow-links follows it/) });
    const set = await load(rows, { followLinks: true });
    expect(set.train.labels.numel + set.test.labels.numel).toBe(4);
    disposeDataset(set);
  });

  it("refuses an image that is named twice with two masks", async () => {
    const rows = WHOLE.filter((row) => row.endsWith("train")).map((row) => `${row},mask.png`);
    await expect(
      load(["path,label,split,mask", ...rows, "images/a.png,dark,train,images/d.png"]),
    ).rejects.toMatchObject({
      message: expect.stringMatching(/has the mask "mask.png" there and "images\/d.png" here/),
    });
  });

  it("counts an image that is named twice once, and says so", async () => {
    const set = await load(["path,label,split", ...WHOLE, "images/a.png,dark,train"]);
    expect(set.train.labels.numel).toBe(2);
    expect(set.warnings).toContainEqual(expect.stringMatching(/1 row names an image that an earlier row names too/));
    disposeDataset(set);
  });

  it.each([
    ["é", "e\u0301"],
    ["e\u0301", "é"],
  ])("finds %j by a name in the other Unicode form, and has one class for both", async (own, other) => {
    await mkdir(join(folder, `caf${own}`));
    await copyFile(join(folder, "images/a.png"), join(folder, `caf${own}/${own}.png`));
    await copyFile(join(folder, "images/c.png"), join(folder, `caf${own}/c.png`));
    const set = await load([
      ...["path,label", "images/b.png,x", "images/d.png,x"],
      ...[`caf${other}/${other}.png,caf${own}`, `caf${other}/c.png,caf${other}`],
    ]);
    expect(set.classNames).toEqual(["café", "x"]);
    expect(set.train.labels.numel + set.test.labels.numel).toBe(4);
    disposeDataset(set);
  });

  it.each([
    ["semicolons", (text: string) => text.replaceAll(",", ";")],
    ["tabs", (text: string) => text.replaceAll(",", "\t")],
    ["line ends of Windows", (text: string) => text.replaceAll("\n", "\r\n")],
    ["line ends of old Macs", (text: string) => text.replaceAll("\n", "\r")],
    ["capitals in the header", (text: string) => text.replace("path,label,split", "Path,LABEL,Split")],
    ["quotes", (text: string) => text.replaceAll(/[^,\n]+/g, '"$&"')],
    ["spaces around its cells", (text: string) => text.replaceAll(",", " , ")],
    ["UTF-16, low byte first", (text: string) => Buffer.from(`\ufeff${text}`, "utf16le")],
    ["UTF-16, high byte first", (text: string) => Buffer.from(`\ufeff${text}`, "utf16le").swap16()],
  ])("with %s is read", async (_, change) => {
    const file = join(folder, "set.csv");
    await writeFile(file, change(["path,label,split", ...WHOLE].join("\n")));
    const set = await loadDataset("csv", { dataDir: file, imageSize: 8, imageChannels: 1 });
    expect(set.classNames).toEqual(["dark", "light"]);
    expect([set.train, set.val, set.test].map((split) => split?.labels.numel)).toEqual([2, 1, 1]);
    disposeDataset(set);
  });

  it("that is not UTF-8 is refused with the line, and never makes one class of two", async () => {
    for (const [content, line] of [
      [await readFile(input("latin1-labels.csv")), 2],
      [Buffer.from("path,label\n\nimages/a.png,x\nimages/b.png,\xff", "latin1"), 4],
      [Buffer.from("path,label\nimages/a.png,x", "utf16le"), 1],
    ] as const) {
      await writeFile(join(folder, "set.csv"), content);
      await expect(loadDataset("csv", { dataDir: join(folder, "set.csv") })).rejects.toMatchObject({
        code: "E_DATA",
        message: expect.stringMatching(new RegExp(`set\\.csv: line ${line}: is not UTF-8.*; save it as UTF-8`)),
      });
    }
  });

  it.each([
    ["c2_backslash.csv", [30, 0]],
    ["c4_pandas.csv", [30, 0]],
    ["c13b_split.csv", [20, 10]],
  ])("of another program's making, %s, is read", async (name, [drawn, val]) => {
    await cp(input(name), join(folder, "set.csv"));
    for (const kind of ["cat", "dog"]) {
      await mkdir(join(folder, "img", kind), { recursive: true });
      for (let i = 0; i < 15; i++)
        await copyFile(
          join(folder, `images/${kind === "cat" ? "a" : "b"}.png`),
          join(folder, "img", kind, `${String(i).padStart(4, "0")}.png`),
        );
    }
    const set = await loadDataset("csv", { dataDir: join(folder, "set.csv"), imageSize: 8 });
    expect(set.classNames).toEqual(["cat", "dog"]);
    expect([set.train.labels.numel + set.test.labels.numel, set.val?.labels.numel ?? 0]).toEqual([drawn, val]);
    disposeDataset(set);
  });

  it.each(["Train", "TRAINING", "valid", "Validation", "VAL", "testing", "Test"])(
    "knows the split name %s",
    async (split) => {
      const rows = WHOLE.filter((row) => row.endsWith("train"));
      const all = ["path,label,split", ...rows, "images/c.png,dark,test", `images/d.png,light,${split}`];
      const set = await load(all);
      const numbers = [set.train, set.val, set.test].map((part) => part?.labels.numel ?? 0);
      const place = ["t", "v", "e"].indexOf(/^tr/i.test(split) ? "t" : /^v/i.test(split) ? "v" : "e");
      expect(numbers).toEqual([2, 0, 1].map((count, i) => count + (i === place ? 1 : 0)));
      disposeDataset(set);
    },
  );

  it("names a file that is not there", async () => {
    await failing(["path,label,split", ...WHOLE, "images/none.png,dark,train"]).toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/none\.png/),
    });
    await expect(loadDataset("csv", { dataDir: join(folder, "none.csv") })).rejects.toMatchObject({ code: "E_DATA" });
    await expect(loadDataset("csv")).rejects.toMatchObject({ code: "E_CONFIG" });
  });
});
