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

  it("knows the decoy sets' variants and their masks", async () => {
    const { out } = await data("decoy-mnist", "--decoy-variant", "cdep");
    expect(out).toContain("decoy-mnist-cdep: 10 classes, images of 1x28x28, with masks");
    expect(out).toContain("The classes are about equally large.");
  });

  it.each([
    [["nothing"], /NAME must be one of .*mnist.*, got "nothing"/],
    [["folder"], /dataDir/],
    [["folder", "--data-dir", join(folder, "missing")], /missing/],
  ])("refuses %j, and draws no picture", async (argv, message) => {
    rmSync(picture, { force: true });
    const { code, err } = await data(...argv);
    expect(code).toBe(2);
    expect(err).toMatch(message);
    expect(existsSync(picture)).toBe(false);
  });
});
