import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFile,
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { memory } from "../tensor/index.ts";
import { hashFiles } from "./images/file-hashes.ts";
import { type DatasetOptions, disposeDataset, loadDataset } from "./index.ts";

let outer: string;
let folder: string;
const cacheBefore = process.env.BATCH_CAM_CACHE;

beforeEach(async () => {
  outer = temporaryFolder("folder-set");
  folder = join(outer, "set");
  process.env.BATCH_CAM_CACHE = join(outer, "cache");
  await mkdir(folder);
});
afterEach(async () => {
  if (cacheBefore === undefined) delete process.env.BATCH_CAM_CACHE;
  else process.env.BATCH_CAM_CACHE = cacheBefore;
});

/** Writes an image of one colour, in the format of its file name. */
async function draw(
  name: string,
  [r, g, b]: readonly [number, number, number] = [200, 100, 50],
  side = 12,
): Promise<void> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await sharp({ create: { width: side, height: side + 4, channels: 3, background: { r, g, b } } }).toFile(path);
}

async function drawMany(prefix: string, count: number, color?: readonly [number, number, number]): Promise<void> {
  for (let i = 0; i < count; i++) await draw(`${prefix}/${i}.png`, color);
}

const load = (options: DatasetOptions = {}) => loadDataset("folder", { dataDir: folder, imageSize: 8, ...options });
const values = (t: { data(): unknown }): number[] => Array.from(t.data() as Uint8Array, Number);
const failing = (options?: DatasetOptions) => expect(load(options)).rejects;

describe("a folder of one's own images", () => {
  // This test must be the first one, because the data sets of the others are garbage-collected at any time, which
  // changes the count.
  it("frees all that it made", async () => {
    await drawMany("a", 2);
    await drawMany("b", 2);
    const before = memory().liveTensors;
    disposeDataset(await load());
    expect(memory().liveTensors).toBe(before);
  });

  it("has its subfolders for classes, sorted, and brings every kind of file to one size", async () => {
    await draw("dog/a.jpeg", [255, 0, 0]);
    await draw("dog/deeper/b.webp", [255, 0, 0], 30);
    await draw("cat/a.png", [0, 0, 255]);
    await draw("cat/b.tiff", [0, 0, 255]);
    const set = await load({ testFraction: 0.5 });
    expect(set.classNames).toEqual(["cat", "dog"]);
    expect(set.train.images.shape).toEqual([2, 3, 8, 8]);
    expect(set.test.images.shape).toEqual([2, 3, 8, 8]);
    for (const split of [set.train, set.test]) {
      expect(values(split.labels)).toEqual([0, 1]);
      const [cat, dog] = [0, 1].map((i) => values(split.images.narrow(0, i, 1))) as [number[], number[]];
      expect(cat.slice(0, 3)).toEqual([0, 0, 0]);
      expect(Math.min(...dog.slice(0, 64))).toBeGreaterThan(240);
      expect(dog.slice(64).every((value) => value < 15)).toBe(true);
    }
    disposeDataset(set);
  });

  it("holds out a share of each class for the test, by seed alone", async () => {
    await drawMany("a", 10);
    await drawMany("b", 20);
    const [first, again, other] = await Promise.all([load({ seed: 1 }), load({ seed: 1 }), load({ seed: 2 })]);
    for (const { train, test } of [first, other]) {
      expect(test.labels.numel).toBeGreaterThan(1);
      expect(new Set(values(test.labels))).toEqual(new Set([0, 1]));
      expect([...(train.paths ?? []), ...(test.paths ?? [])].sort()).toEqual(
        [...Array(10).keys()]
          .map((i) => `a/${i}.png`)
          .concat([...Array(20).keys()].map((i) => `b/${i}.png`))
          .sort(),
      );
    }
    expect(again.test.paths).toEqual(first.test.paths);
    expect(other.test.paths).not.toEqual(first.test.paths);
  });

  it("leaves every other image in its split where images are added, changed and removed, and the folder is another", async () => {
    await drawMany("a", 12);
    await drawMany("b", 12);
    const before = await load();
    await drawMany("a/more", 5);
    await rm(join(folder, "b/3.png"));
    await draw("b/4.png", [1, 2, 3]);
    await rename(folder, join(outer, "moved"));
    const after = await load({ dataDir: join(outer, "moved") });
    const kept = (paths: readonly string[] = []) =>
      paths.filter((path) => !path.startsWith("a/more") && path !== "b/3.png");
    expect(kept(after.test.paths)).toEqual(kept(before.test.paths));
    expect(kept(after.train.paths)).toEqual(kept(before.train.paths));
  });

  it("keeps path and hash with each image", async () => {
    await drawMany("a", 6, [10, 10, 10]);
    await drawMany("b", 6, [90, 90, 90]);
    const { train, test } = await load({ imageChannels: 1 });
    for (const { paths = [], hashes = [], images, labels } of [train, test])
      for (const [i, path] of paths.entries()) {
        const dark = path.startsWith("a/");
        expect([values(labels)[i], values(images.narrow(0, i, 1))[0]]).toEqual(dark ? [0, 10] : [1, 90]);
        expect(hashes[i]).toMatch(/^[0-9a-f]{32}$/);
      }
    expect(new Set([...(train.hashes ?? []), ...(test.hashes ?? [])]).size).toBe(2); // each class consists of copies of one image
  });

  it("takes the splits that folders name, with train's classes", async () => {
    await drawMany("Train/a", 3);
    await drawMany("Train/b", 2);
    await drawMany("Train/c", 1);
    await drawMany("valid/a", 2);
    await drawMany("valid/c", 1);
    await drawMany("test/c", 1);
    await drawMany("test/b", 1);
    const { train, val, test, classNames } = await load();
    expect(classNames).toEqual(["a", "b", "c"]);
    expect(values(train.labels)).toEqual([0, 0, 0, 1, 1, 2]);
    expect(val && values(val.labels)).toEqual([0, 0, 2]);
    expect(values(test.labels)).toEqual([1, 2]);
  });

  it("normalises by the training pixels of each channel", async () => {
    await drawMany("train/a", 2, [0, 51, 255]);
    await drawMany("train/b", 2, [255, 51, 255]);
    await drawMany("test/a", 1, [9, 9, 9]);
    await drawMany("test/b", 1, [9, 9, 9]);
    const { normalization } = await load();
    expect(normalization.mean[0]).toBeCloseTo(0.5, 6);
    expect(normalization.mean[1]).toBeCloseTo(0.2, 6);
    expect(normalization.std[0]).toBeCloseTo(0.5, 6);
    expect(normalization.std[1]).toBe(1); // the channel is constant, so its standard deviation would be 0
  });

  it("makes grey images of any, where grey is asked for", async () => {
    await drawMany("a", 2, [10, 10, 10]);
    await drawMany("b", 2, [250, 250, 250]);
    const { train } = await load({ imageChannels: 1, testFraction: 0.5 });
    expect(train.images.shape).toEqual([2, 1, 8, 8]);
    expect(values(train.images)[0]).toBe(10);
  });
});

describe("the cache of decoded images", () => {
  const cached = () => readdir(join(outer, "cache", "batch-cam", "decoded"));

  beforeEach(async () => {
    await drawMany("train/a", 2, [10, 20, 30]);
    await drawMany("train/b", 2, [40, 50, 60]);
    await drawMany("test/a", 1, [70, 80, 90]);
    await drawMany("test/b", 1, [70, 80, 90]);
  });

  /** Changes one cached pixel and updates the checksum, so that the next load shows whether the cache was used. */
  async function paintCache(value: number): Promise<void> {
    const folder = join(outer, "cache", "batch-cam", "decoded");
    const name = (await cached()).find((file) => file.endsWith(".bin")) as string;
    const pixels = await readFile(join(folder, name));
    pixels.fill(value);
    await writeFile(join(folder, name), pixels);
    const index = join(folder, name.replace(".bin", ".json"));
    const sum = createHash("sha1").update(pixels).digest("hex");
    await writeFile(index, JSON.stringify({ ...JSON.parse(await readFile(index, "utf8")), sum }));
  }

  it("gives the same images without decoding the files again, also where they only were touched or moved", async () => {
    await load();
    await paintCache(7);
    expect(new Set(values((await load()).train.images))).toEqual(new Set([7]));
    const path = join(folder, "train/a/0.png");
    await utimes(path, new Date(1_700_000_000_000), new Date(1_700_000_000_000));
    await rename(join(folder, "train/a/1.png"), join(folder, "train/a/renamed.png"));
    expect(new Set(values((await load()).train.images))).toEqual(new Set([7]));
  });

  it("notices a file that was exchanged under the same size and time, in place or by another", async () => {
    await load();
    const path = join(folder, "train/a/0.png");
    const { size, atime, mtime } = await stat(path);
    await draw("other.png", [20, 30, 40]);
    const other = await readFile(join(folder, "other.png"));
    await rm(join(folder, "other.png"));
    expect(other.length).toBe(size); // both images have a single colour
    await writeFile(path, other);
    await utimes(path, atime, mtime);
    expect(values((await load()).train.images)[0]).toBe(20);
    await draw("third.png", [30, 30, 40]);
    await rename(join(folder, "third.png"), path);
    await utimes(path, atime, mtime);
    expect((await stat(path)).size).toBe(size);
    expect(values((await load()).train.images)[0]).toBe(30);
  });

  it("hashes no file again that has been at rest since it was read", async () => {
    const path = join(folder, "train/a/0.png");
    await new Promise((resolve) => setTimeout(resolve, 2200)); // longer than the allowance for differing clocks
    const options = { source: folder };
    const [first] = await hashFiles([path], options);
    const name = join(outer, "cache/batch-cam/hashes");
    const index = join(name, (await readdir(name))[0] as string);
    const text = await readFile(index, "utf8");
    await writeFile(index, text.replace(first?.hash ?? "", "0".repeat(32)));
    expect((await hashFiles([path], options))[0]?.hash).toBe("0".repeat(32));
    await utimes(path, new Date(), new Date());
    expect((await hashFiles([path, join(folder, "none.png")], options)).map((file) => file?.hash)).toEqual([
      first?.hash,
      undefined,
    ]);
  });

  it("reads what has changed, what is new, and leaves out what is gone", async () => {
    await load();
    await draw("train/a/0.png", [99, 99, 99]);
    await utimes(join(folder, "train/a/0.png"), new Date(), new Date(Date.now() + 5000));
    await draw("train/a/9.png", [1, 2, 3]);
    await rm(join(folder, "train/b/1.png"));
    const { train } = await load();
    expect(values(train.labels)).toEqual([0, 0, 0, 1]);
    const reds = [0, 1, 2, 3].map((i) => values(train.images.narrow(0, i, 1))[0]);
    expect(reds).toEqual([99, 10, 1, 40]);
  });

  it("has a part for every size and number of channels", async () => {
    const small = await load();
    const large = await load({ imageSize: 16 });
    const grey = await load({ imageChannels: 1 });
    expect([small, large, grey].map(({ train }) => train.images.shape[2])).toEqual([8, 16, 8]);
    expect(await cached()).toHaveLength(6);
  });

  it.each(["bin", "json"])("is made again where its .%s is damaged", async (kind) => {
    const first = await load();
    const file = (await cached()).find((name) => name.endsWith(kind)) as string;
    await appendFile(join(outer, "cache", "batch-cam", "decoded", file), "x");
    expect(values((await load()).train.images)).toEqual(values(first.train.images));
    await writeFile(join(outer, "cache", "batch-cam", "decoded", file), "");
    expect(values((await load()).train.images)).toEqual(values(first.train.images));
  });

  it("is done without where it cannot be written", async () => {
    process.env.BATCH_CAM_CACHE = join(folder, "train/a/0.png"); // a file, so that the folder cannot be made
    expect((await load()).train.labels.numel).toBe(4);
  });
});

describe("what a folder's names mean", () => {
  it.each([
    ["Training", "Testing"],
    ["TRAIN", "test"],
    ["train", "Test"],
  ])("takes %s/ and %s/ for its splits", async (train, test) => {
    for (const name of ["a", "b"]) {
      await drawMany(`${train}/${name}`, 2);
      await drawMany(`${test}/${name}`, 1);
    }
    const set = await load();
    expect([set.train.labels.numel, set.test.labels.numel]).toEqual([4, 2]);
    disposeDataset(set);
  });

  it("takes a folder called train that contains images itself for a class, if there are other classes next to it", async () => {
    for (const name of ["train", "bus", "plane"]) await drawMany(name, 3);
    const set = await load();
    expect(set.classNames).toEqual(["bus", "plane", "train"]);
    disposeDataset(set);
  });

  it("takes a folder called test for a class of subfolders, if there is no train split", async () => {
    await drawMany("test/first", 3);
    await drawMany("bus", 3);
    const set = await load();
    expect(set.classNames).toEqual(["bus", "test"]);
    disposeDataset(set);
  });

  it("refuses splits whose images have no class, and leaves out a test split of such", async () => {
    await drawMany("train", 3);
    await drawMany("test", 3);
    await failing().toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(
        /contains images directly in test\/ and train\/, without a folder for their class/,
      ),
    });
    await rm(join(folder, "train"), { recursive: true });
    await drawMany("train/a", 5);
    await drawMany("train/b", 5);
    const set = await load();
    expect(set.train.labels.numel + set.test.labels.numel).toBe(10);
    expect(set.warnings).toEqual([
      expect.stringMatching(/left out test\/ next to train\/: not a split with class folders/),
    ]);
    disposeDataset(set);
  });

  it("names the folder inside that is meant", async () => {
    await drawMany("set/a", 1);
    await drawMany("set/b", 1);
    await failing().toMatchObject({ message: expect.stringMatching(/got one, set\/; give .*set\/set, which holds 2/) });
  });

  it("says by name which classes a split lacks, and that it has one alone", async () => {
    for (const name of ["a", "b", "c"]) await drawMany(`train/${name}`, 1);
    await drawMany("val/b", 1);
    await drawMany("test/a", 1);
    await drawMany("test/b", 1);
    await mkdir(join(folder, "test/c"));
    const set = await load();
    expect(set.warnings).toEqual([
      'val only has images of class "b": its accuracy cannot show whether classes are distinguished',
      'test has no image of class "c": its accuracy says nothing about it; add images of such classes; if the split is drawn, hold a larger share out (testFraction) or name its images yourself',
    ]);
    disposeDataset(set);
  });

  it("names a class of test that train has in other letters", async () => {
    for (const name of ["train/Cat", "train/dog", "test/cat"]) await drawMany(name, 1);
    await failing().toMatchObject({ message: expect.stringMatching(/class "cat" of test is "Cat" in train/) });
  });

  it("has one class for a name in two Unicode forms in two splits, and refuses both forms in one", async () => {
    for (const name of ["train/caf\u00e9", "train/x", "test/cafe\u0301", "test/x"]) await drawMany(name, 1);
    const set = await load();
    expect(set.classNames).toEqual(["caf\u00e9", "x"]);
    expect(values(set.test.labels)).toEqual([0, 1]);
    disposeDataset(set);
    await drawMany("train/cafe\u0301", 1);
    await failing().toMatchObject({
      message: expect.stringMatching(/has the class "café" twice, in two Unicode forms/),
    });
  });
});

describe("what a folder leaves out", () => {
  beforeEach(async () => {
    for (const name of ["a", "b"]) await drawMany(name, 3);
  });

  it("is counted by kind in one sentence", async () => {
    for (const name of [
      "a/1.psd",
      "b/2.PSD",
      "a/3.raw",
      "a/notes",
      "b/.hidden.png",
      ".DS_Store",
      "stray.png",
      "list.csv",
    ])
      await writeFile(join(folder, name), "x");
    execFileSync("mkfifo", [join(folder, "a/pipe.png")]);
    await symlink("nowhere.png", join(folder, "a/broken.png"));
    const set = await load();
    expect(set.train.labels.numel + set.test.labels.numel).toBe(6);
    expect(set.warnings).toHaveLength(1);
    const [warning = ""] = set.warnings ?? [];
    for (const part of ["2 .psd", "1 .raw", "1 without extension", "2 hidden", "1 pipe, socket or device"])
      expect(warning).toContain(part);
    expect(warning).toContain("1 broken link (a/broken.png)");
    expect(warning).toContain("1 image outside the folders (stray.png)");
    expect(warning).toContain("1 file outside the folders (list.csv)");
    expect(warning).toMatch(/; ImageMagick converts pictures: mogrify -format png \*\.psd$/);
    disposeDataset(set);
  });

  it("are links out of it and to folders, unless they are followed", async () => {
    await mkdir(join(outer, "store"));
    for (const name of ["b/0.png", "b/1.png"]) await copyFile(join(folder, name), join(outer, "store", name.slice(2)));
    await draw("c/0.png");
    await symlink(join(outer, "store"), join(folder, "c/more"));
    await symlink(join(outer, "store"), join(folder, "d"));
    await symlink(folder, join(folder, "c/circle"));
    await symlink("..", join(folder, "c/up"));
    const set = await load();
    expect(set.classNames).toEqual(["a", "b", "c"]);
    expect(set.warnings?.[0]).toMatch(/left out 4 links \((d|c\/\w+), .*\); --follow-links follows links/);
    disposeDataset(set);
    await failing({ followLinks: true }).toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(
        /c\/more\/0\.png in class "c" of train and d\/0\.png in class "d" of train are the same file, through a link/,
      ),
    });
    await rm(join(folder, "d"));
    const followed = await load({ followLinks: true });
    expect(followed.train.labels.numel + followed.test.labels.numel).toBe(9);
    expect(followed.warnings?.[0]).toMatch(/left out 2 links to folders that contain them \(c\/circle, c\/up\)/);
    disposeDataset(followed);
  });
});

describe("a folder that cannot be trained on", () => {
  it("names what is missing", async () => {
    await failing().toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/two classes or more, got no subfolder/),
    });
    await expect(loadDataset("folder", { dataDir: join(folder, "none") })).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/none: cannot be read/),
    });
    await expect(loadDataset("folder")).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(/dataDir is missing/),
    });
  });

  it("refuses one class, an empty class, and one image", async () => {
    await drawMany("only", 3);
    await failing().toMatchObject({ message: expect.stringMatching(/got one, only\/.*PNG, JPEG.* can be read/) });
    await mkdir(join(folder, "empty"));
    await failing().toMatchObject({ code: "E_DATA", message: expect.stringMatching(/empty: contains no images/) });
  });

  it("leaves a class's only image in training, and refuses to be left without a test image", async () => {
    await drawMany("a", 1);
    await drawMany("b", 1);
    await failing({ testFraction: 0.5 }).toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/each class has a single image/),
    });
    await drawMany("b", 2);
    const { train, test } = await load({ testFraction: 0.99 });
    expect(train.paths).toHaveLength(2);
    expect(test.paths).toEqual([expect.stringMatching(/^b\/[01]\.png$/)]);
  });

  it("refuses classes that differ by case alone, two folders for one split, and a class that train lacks", async () => {
    await drawMany("Cat", 1);
    await drawMany("cat", 1);
    await failing().toMatchObject({ message: expect.stringMatching(/"Cat" and "cat" differ only in case/) });
    await rm(join(folder, "Cat"), { recursive: true });
    await drawMany("train/a", 1);
    await drawMany("train/b", 1);
    await drawMany("test/a", 1);
    await drawMany("test/x", 1);
    await failing().toMatchObject({ message: expect.stringMatching(/class "x" of test is not in train/) });
    await mkdir(join(folder, "training"));
    await failing().toMatchObject({ message: expect.stringMatching(/contains both .* as its train split/) });
  });

  it("refuses val/ and test/ without train/, and says what is next to the splits", async () => {
    for (const name of ["val/a", "val/b", "test/a", "test/b"]) await drawMany(name, 1);
    await failing().toMatchObject({ message: expect.stringMatching(/contains test\/ and val\/ but no train\//) });
    for (const name of ["train/a", "train/b", "constructor/a"]) await drawMany(name, 2);
    const { warnings, train } = await load();
    expect(train.labels.numel).toBe(4);
    expect(warnings).toEqual([
      expect.stringMatching(/left out constructor\/ next to train\/: not a split with class folders/),
    ]);
  });

  it("says that a class which is a link is left out, and stops decoding at a signal", async () => {
    await drawMany("a", 3);
    await drawMany("b", 3);
    await mkdir(join(outer, "elsewhere"));
    await symlink(join(outer, "elsewhere"), join(folder, "c"));
    await failing({ signal: AbortSignal.abort(new Error("enough")) }).toThrow("enough");
    const set = await load();
    expect(set.classNames).toEqual(["a", "b"]);
    expect(set.warnings).toEqual([expect.stringMatching(/left out 1 link \(c\); --follow-links follows links/)]);
    disposeDataset(set);
  });

  it("names a folder and a named pipe that have the name of an image, and waits for neither", async () => {
    await drawMany("train/a", 2);
    await drawMany("train/b", 2);
    await drawMany("train/a/folder.png", 1);
    execFileSync("mkfifo", [join(folder, "train/b/pipe.png")]);
    const set = await load();
    expect(set.train.labels.numel + set.test.labels.numel).toBe(5);
    expect(set.warnings).toEqual([expect.stringMatching(/left out 1 pipe, socket or device$/)]);
    disposeDataset(set);
  });

  it("stops at a file that cannot be read, or leaves it out and says so", async () => {
    await drawMany("train/a", 2);
    await drawMany("train/b", 2);
    await drawMany("test/a", 1);
    await drawMany("test/b", 1);
    await writeFile(join(folder, "train/a/1.png"), "no image");
    await failing().toMatchObject({ code: "E_DATA", message: expect.stringMatching(/a\/1\.png: is not an image/) });
    for (const round of ["decoded", "from the cache"]) {
      const { train, warnings } = await load({ badImages: "skip" });
      expect(values(train.labels), round).toEqual([0, 1, 1]);
      expect(warnings, round).toEqual([expect.stringMatching(/left out: .*a\/1\.png: is not an image/)]);
    }
  });

  it("does not follow links out of the folder", async () => {
    await drawMany("a", 2);
    await drawMany("b", 2);
    await rename(join(folder, "a/1.png"), join(outer, "secret.png"));
    await symlink(join(outer, "secret.png"), join(folder, "a/1.png"));
    const { train, test } = await load();
    expect(train.labels.numel + test.labels.numel).toBe(3);
  });

  it.each([
    [{ imageSize: 3 }, /imageSize/],
    [{ imageChannels: 2 as never }, /channels/],
    [{ imageFit: "stretch" as never }, /fit/],
    [{ testFraction: 1 }, /testFraction/],
  ] as const)("refuses %o", async (options, message) => {
    await drawMany("a", 2);
    await drawMany("b", 2);
    await failing(options).toMatchObject({ code: "E_ARGUMENT", message: expect.stringMatching(message) });
  });
});
