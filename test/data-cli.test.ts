import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PNG } from "pngjs";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cli } from "./support/cli.ts";
import { npy, zip } from "./support/npz-file.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const folder = temporaryFolder("data");
const photos = join(folder, "My photos");
const picture = join(folder, "picture.png");
const cache = process.env.BATCH_CAM_CACHE;

const data = (...argv: string[]) => cli("data", ...argv, "--picture", picture);

/** Writes images of a single grey, with names that sort like numbers. */
async function draw(place: string, count: number, grey: number): Promise<void> {
  mkdirSync(join(photos, place), { recursive: true });
  const background = { r: grey, g: grey, b: grey };
  for (let i = 0; i < count; i++)
    await sharp({ create: { width: 10, height: 8, channels: 3, background } }).toFile(
      join(photos, place, `${10 + i}.png`),
    );
}

beforeAll(async () => {
  process.env.BATCH_CAM_CACHE = join(folder, "cache");
  await draw("train/cats", 6, 51);
  await draw("train/dogs & wolves", 2, 204);
  await draw("test/cats", 1, 51);
  await draw("test/dogs & wolves", 1, 204);
});
afterAll(() => {
  if (cache === undefined) delete process.env.BATCH_CAM_CACHE;
  else process.env.BATCH_CAM_CACHE = cache;
});

/** The start of warnings about a data set of two classes with few, identical images. */
const HELD = "warning: when training has held validation images out,";
const SAID = [
  `${HELD} val only has images of class "cats": its accuracy cannot show whether classes are distinguished`,
  expect.stringMatching(
    /^warning: when training .* train has fewer than 5 images of class(es)? "dogs & wolves" \(2\).*: a model learns little from so few/,
  ),
  expect.stringMatching(
    /^warning: when .* val has fewer than 5 images of class "cats" \(2\), and test has fewer than 5 images of classes "cats" \(1\), "dogs & wolves" \(1\): .*\(--val-images, --test-fraction\)/,
  ),
  expect.stringMatching(
    /^warning: .*: images are also in a split .*: 2 of test \(test\/cats\/10\.png is the same pic.*; remove/,
  ),
  expect.stringMatching(
    /^warning: .*: images are copies of other images of the same split and class: 6 of train \(train\/cats\/11/,
  ),
];

describe("batch-cam data", () => {
  it("prints the splits, classes and balance of the user's own images, under their folder's name", async () => {
    const { code, out, err } = await data("folder", "--data-dir", photos, "--image-size", "16");
    expect(code).toBe(0);
    expect(err.trim().split("\n")).toEqual(SAID);
    expect(out).toContain("My-photos: 2 classes, images of 3x16x16\n");
    expect(out).toMatch(/^cats +6 +1 +75\.0%$/m);
    expect(out).toMatch(/^dogs & wolves +2 +1 +25\.0%$/m);
    expect(out).toMatch(/^all +8 +2 +100.0%$/m);
    expect(out).toContain("mean 0.3500, 0.3500, 0.3500");
    expect(out).toContain("The largest class has 3.0 times the images of the smallest: see --sampler balanced");
    expect(out).toContain(`picture: ${picture}\n`);
    expect(PNG.sync.read(readFileSync(picture)).width).toBeGreaterThan(100);
  });

  it("prints the counts as JSON, by split and class", async () => {
    const { out } = await data("folder", "--data-dir", photos, "--image-size", "16", "--json");
    expect(JSON.parse(out)).toMatchObject({
      ...{ name: "folder", channels: 3, height: 16, width: 16, masks: false },
      splits: { train: { cats: 6, "dogs & wolves": 2 }, test: { cats: 1, "dogs & wolves": 1 } },
    });
  });

  it("prints its findings as JSON: classes of few images, and images with the same content", async () => {
    const { out } = await data("folder", "--data-dir", photos, "--image-size", "16", "--json");
    expect(JSON.parse(out)).toMatchObject({
      heldOutForValidation: { cats: 2, "dogs & wolves": 0 },
      thinClasses: [
        { split: "train", class: "cats", images: 4 },
        { split: "train", class: "dogs & wolves", images: 2 },
        { split: "val", class: "cats", images: 2 },
        { split: "val", class: "dogs & wolves", images: 0 },
        { split: "test", class: "cats", images: 1 },
        { split: "test", class: "dogs & wolves", images: 1 },
      ],
      identicalImages: {
        acrossSplits: {
          ...{ images: 2, splits: { test: 2 } },
          examples: [
            {
              image: { split: "test", path: "test/cats/10.png", class: "cats" },
              same: { split: "train", path: "train/cats/10.png", class: "cats" },
            },
            { image: { path: "test/dogs & wolves/10.png" } },
          ],
        },
        ...{
          differentLabels: { images: 0, splits: {}, examples: [] },
          withinSplits: { images: 6, splits: { train: 6 } },
        },
      },
    });
    const { out: digits } = await data("mnist", "--json");
    expect(JSON.parse(digits)).toMatchObject({ thinClasses: [], identicalImages: null });
  });

  it("reports pictures with two labels, also in tables and NumPy files", async () => {
    writeFileSync(
      join(photos, "set.csv"),
      "path,label\ntrain/cats/10.png,a\ntrain/cats/11.png,b\ntrain/dogs & wolves/10.png,a\ntrain/dogs & wolves/11.png,b\n",
    );
    const table = await data("csv", "--data-dir", join(photos, "set.csv"), "--image-size", "16");
    rmSync(join(photos, "set.csv"));
    expect(table.err).toMatch(
      /images of the same content have different labels: .* \("[ab]"\) is the same picture as train\/.*give each picture one label/,
    );
    const pixels = Uint8Array.from({ length: 8 * 64 }, (_, i) => (i < 128 ? 7 : i % 251));
    const set = (name: string) => ({
      [`${name}_images.npy`]: npy("|u1", [8, 8, 8], pixels),
      [`${name}_labels.npy`]: npy("|u1", [8, 1], Uint8Array.of(0, 1, 0, 1, 0, 1, 0, 1)),
    });
    writeFileSync(join(folder, "set.npz"), zip({ ...set("train"), ...set("val"), ...set("test") }));
    const { err } = await data("npz", "--data-dir", join(folder, "set.npz"));
    expect(err).toMatch(
      /images are also in a split .*: 8 of val, 8 of test \(val_images\[0\] is the same picture as train_images\[0\]; /,
    );
    expect(err).toMatch(
      /different labels: 2 of train, 2 of val, 2 of test \(train_images\[1\] \("1"\) is the same picture as train_images\[0\]/,
    );
  });

  it("names the files that it skipped, if it may skip unreadable files", async () => {
    const broken = join(photos, "train/cats/99.png");
    writeFileSync(broken, "no picture");
    const failed = await data("folder", "--data-dir", photos);
    expect(failed.code).toBe(2);
    expect(failed.err).toMatch(/99\.png/);
    const { code, out, err } = await data("folder", "--data-dir", photos, "--bad-images", "skip");
    expect(code).toBe(0);
    expect(err).toMatch(/^warning: .*99\.png/);
    expect(out).toMatch(/^cats +6 /m);
    rmSync(broken);
  });

  it("lists all unreadable files together, by their names in the folder, and how to skip them", async () => {
    const names = ["train/cats/a.png", "train/dogs & wolves/b.png", "test/cats/c.png"];
    for (const name of names) writeFileSync(join(photos, name), "no picture");
    const { code, err } = await data("folder", "--data-dir", photos);
    expect(code).toBe(2);
    for (const name of names) expect(err).toContain(` ${name}: is not an image that can be read, but text`);
    expect(err).toMatch(/3 files cannot be read: .*--bad-images skip/);
    expect(err.trim().split("\n")).toHaveLength(1);
    for (const name of names) rmSync(join(photos, name));
  });

  it("reports in one sentence the skipped files, and in another what reading changed, also from the cache", async () => {
    const wide = Uint16Array.from({ length: 100 }, (_, i) => i * 655);
    const extra = join(photos, "train/cats/wide.png");
    await sharp(wide, { raw: { width: 10, height: 10, channels: 1 } })
      .toColourspace("grey16")
      .png()
      .toFile(extra);
    writeFileSync(join(photos, "train/cats/old.psd"), "8BPS");
    for (const round of ["decoded", "from the cache"]) {
      const { err } = await data("folder", "--data-dir", photos, "--image-size", "16");
      expect(err.split("\n"), round).toEqual([
        expect.stringMatching(/^warning: .*My photos: left out 1 \.psd; ImageMagick converts pictures/),
        "warning: reading changed images (1 image: 16 bits scaled to 8)",
        ...SAID,
        "",
      ]);
    }
    rmSync(extra);
    rmSync(join(photos, "train/cats/old.psd"));
  });

  it.each([
    ["mnist", "--image-size", "32"],
    ["mnist", "--image-size", "64"],
    ["fashion-mnist", "--image-channels", "3"],
    ["mnist", "--image-fit", "fill"],
    ["mnist", "--test-fraction", "0.5"],
    ["npz", "--bad-images", "skip"],
    ["npz", "--follow-links", undefined],
    ["mnist", "--decoy-variant", "cdep"],
    ["mnist", "--data-seed", "3"],
  ])("refuses for %s an option that it would ignore: %s %s", async (name, flag, value) => {
    const { code, err } = await data(name, flag, ...(value === undefined ? [] : [value]));
    expect(code).toBe(2);
    expect(err).toContain(`${flag} is for the data sets `);
    expect(err).toContain(`, and ${name} does not use it: leave it out`);
  });

  it("supports the variants of the decoy sets, and their masks", async () => {
    const { out } = await data("decoy-mnist", "--decoy-variant", "cdep");
    expect(out).toContain("decoy-mnist-cdep: 10 classes, images of 1x28x28, with masks");
    expect(out).toContain("The classes are about equally large.");
  });

  it.each([
    [["nothing"], /NAME must be one of .*mnist.*, got "nothing"/],
    [["folder"], /--data-dir/],
    [["folder", "--data-dir", join(folder, "missing")], /missing/],
  ])("refuses %j, and draws no picture", async (argv, message) => {
    rmSync(picture, { force: true });
    const { code, err } = await data(...argv);
    expect(code).toBe(2);
    expect(err).toMatch(message);
    expect(existsSync(picture)).toBe(false);
  });
});
