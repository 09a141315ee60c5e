import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PNG } from "pngjs";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { main } from "../src/cli/main.ts";
import { fakeIo } from "./support/fake-terminal.ts";

const folder = mkdtempSync(join(tmpdir(), "batch-cam-data-"));
const photos = join(folder, "My photos");
const picture = join(folder, "picture.png");
const cache = process.env.BATCH_CAM_CACHE;

async function data(...argv: string[]) {
  const { io, text } = fakeIo();
  const code = await main(["data", ...argv, "--picture", picture], io);
  return { code, ...text };
}

/** Images of one grey, named so that the order of names is the order of numbers. */
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
  rmSync(folder, { recursive: true, force: true });
});

describe("batch-cam data", () => {
  it("shows the splits, classes and balance of one's own images, under their folder's name", async () => {
    const { code, out, err } = await data("folder", "--data-dir", photos, "--image-size", "16");
    expect([code, err]).toEqual([0, ""]);
    expect(out).toContain("My-photos: 2 classes, images of 3x16x16\n");
    expect(out).toMatch(/^cats +6 +1 +75\.0%$/m);
    expect(out).toMatch(/^dogs & wolves +2 +1 +25\.0%$/m);
    expect(out).toMatch(/^all +8 +2 +100 %$/m);
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

  it("names what it left out, where it may leave out what cannot be read", async () => {
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

  it("lists every file that cannot be read at once, by its name in the folder, and how to leave them out", async () => {
    const names = ["train/cats/a.png", "train/dogs & wolves/b.png", "test/cats/c.png"];
    for (const name of names) writeFileSync(join(photos, name), "no picture");
    const { code, err } = await data("folder", "--data-dir", photos);
    expect(code).toBe(2);
    for (const name of names) expect(err).toContain(` ${name}: is no image that can be read but text`);
    expect(err).toMatch(/3 files cannot be read: .*--bad-images skip/);
    expect(err.trim().split("\n")).toHaveLength(1);
    for (const name of names) rmSync(join(photos, name));
  });

  it("says in one sentence what was left out, and in another what reading changed, from the cache too", async () => {
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
  ])("refuses for %s what it would ignore: %s %s", async (name, flag, value) => {
    const { code, err } = await data(name, flag, ...(value === undefined ? [] : [value]));
    expect(code).toBe(2);
    expect(err).toContain(`${flag} is for the data sets `);
    expect(err).toContain(`, and ${name} does not heed it: leave it out`);
  });

  it("knows the decoy sets' variants and their masks", async () => {
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
