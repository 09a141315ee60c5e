import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, it } from "vitest";
import { type Lie, npy, zip } from "../../../test/support/npz-file.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { memory } from "../../tensor/index.ts";
import { disposeDataset, loadDataset, type Split } from "../index.ts";

let folder: string;
beforeEach(async () => {
  folder = temporaryFolder("npz");
});

const input = (name: string) => fileURLToPath(new URL(`../../../test/fixtures/inputs/${name}`, import.meta.url));
const bytesOf = ({ buffer }: { buffer: ArrayBuffer }): Uint8Array => new Uint8Array(buffer);
const int64 = (...values: number[]): Uint8Array => new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
const bytes = (count: number, first = 0): Uint8Array => Uint8Array.from({ length: count }, (_, i) => (first + i) % 256);

/** Grey 2x3 images, with different bytes in each split. */
const GREY = {
  "train_images.npy": npy("|u1", [3, 2, 3], bytes(18)),
  "train_labels.npy": npy("|u1", [3, 1], Uint8Array.from([0, 2, 1])),
  "val_images.npy": npy("|u1", [1, 2, 3], bytes(6, 50)),
  "val_labels.npy": npy("<i8", [1, 1], int64(2)),
  "test_images.npy": npy("|u1", [2, 2, 3], bytes(12, 100)),
  "test_labels.npy": npy("<i8", [2], int64(1, 0)),
};

async function load(entries: Readonly<Record<string, Buffer>>, lie: Lie = {}) {
  const file = join(folder, "set.npz");
  await writeFile(file, zip(entries, lie));
  return loadDataset("npz", { dataDir: file });
}

const values = (t: { data(): unknown }): number[] => Array.from(t.data() as Uint8Array | BigInt64Array, Number);
const without = (name: string) => Object.fromEntries(Object.entries(GREY).filter(([key]) => key !== name));

describe("a MedMNIST file", () => {
  it("has three splits of grey images with their labels", async () => {
    const set = await load(GREY);
    expect(set.classNames).toEqual(["0", "1", "2"]);
    expect(set.train.images.shape).toEqual([3, 1, 2, 3]);
    expect(values(set.train.images)).toEqual([...bytes(18)]);
    expect([set.train, set.val, set.test].map((split) => split && values(split.labels))).toEqual([
      [0, 2, 1],
      [2],
      [1, 0],
    ]);
    expect(values(set.test.images)).toEqual([...bytes(12, 100)]);
    disposeDataset(set);
  });

  it("has colours as planes", async () => {
    const colour = (n: number) => npy("|u1", [n, 2, 2, 3], bytes(12 * n));
    const set = await load({
      ...GREY,
      "train_images.npy": colour(3),
      "val_images.npy": colour(1),
      "test_images.npy": colour(2),
    });
    expect(set.train.images.shape).toEqual([3, 3, 2, 2]);
    expect(values(set.train.images).slice(0, 12)).toEqual([0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
    expect(set.normalization.mean).toHaveLength(3);
    disposeDataset(set);
  });

  it("skips arrays that it does not know", async () => {
    const [plain, extended] = [await load(GREY), await load({ ...GREY, "notes.npy": Buffer.from("no array") })];
    for (const split of ["train", "val", "test"] as const) {
      expect(values((extended[split] as Split).images)).toEqual(values((plain[split] as Split).images));
      expect(values((extended[split] as Split).labels)).toEqual(values((plain[split] as Split).labels));
    }
    disposeDataset(plain);
    disposeDataset(extended);
  });

  it("with big-endian labels, as NumPy wrote it, is read", async () => {
    const set = await loadDataset("npz", { dataDir: input("n4b_bigendian.npz") });
    expect([set.train, set.val, set.test].map((split) => split?.images.shape[0])).toEqual([60, 18, 18]);
    expect(new Set(values(set.train.labels))).toEqual(new Set([0, 1, 2]));
    disposeDataset(set);
  });

  it("of 42 bytes, with a position beyond any file, is refused", async () => {
    await expect(loadDataset("npz", { dataDir: input("npz-zip64-minimal.npz") })).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(
        /npz-zip64-minimal\.npz: expected a zip archive with the Zip64 end of its directory/,
      ),
    });
  });

  it.each<[string, string, Uint8Array, readonly number[], RegExp | null]>([
    ["truth values", "|b1", Uint8Array.of(0, 1, 1, 0, 0, 1), [0, 255, 255, 0, 0, 255], /images are bool/],
    ["whole numbers of 8 bits", "<i4", bytesOf(Int32Array.of(0, 1, 2, 100, 254, 255)), [0, 1, 2, 100, 254, 255], null],
    [
      "whole numbers of 12 bits",
      "<u2",
      bytesOf(Uint16Array.of(0, 16, 2048, 4095, 1, 9)),
      [0, 1, 128, 255, 0, 1],
      /images reach 4095, read as 12 bits: 4095 becomes 255/,
    ],
    [
      "whole numbers of 16 bits",
      ">u2",
      Uint8Array.of(0, 0, 255, 255, 1, 1, 128, 128, 0, 1, 2, 2),
      [0, 255, 1, 128, 0, 2],
      /images reach 65535, read as 16 bits/,
    ],
    [
      "floats in [0, 1]",
      "<f4",
      bytesOf(Float32Array.of(0, 0.5, 1, 0.25, 0.1, 0.9)),
      [0, 128, 255, 64, 26, 229],
      /images are of <f4 in \[0, 1\]/,
    ],
    [
      "floats in [0, 255]",
      "<f8",
      bytesOf(Float64Array.of(0, 0.5, 1, 255, 99.4, 99.6)),
      [0, 1, 1, 255, 99, 100],
      /images are of <f8 in \[0, 255\]/,
    ],
    ["ones for white", "|u1", Uint8Array.of(0, 1, 1, 0, 0, 1), [0, 1, 1, 0, 0, 1], /images reach 1 of 255/],
  ])("of %s becomes bytes, and says how", async (_, descr, body, pixels, warning) => {
    const images = npy(descr, [1, 2, 3], body);
    const [two, three] = [Buffer.concat([body, body]), Buffer.concat([body, body, body])];
    const set = await load({
      ...GREY,
      "train_images.npy": npy(descr, [3, 2, 3], three),
      "val_images.npy": images,
      "test_images.npy": npy(descr, [2, 2, 3], two),
    });
    expect(values(set.val?.images as never)).toEqual(pixels);
    const own = (set.warnings ?? []).filter((message) => message.includes("set.npz"));
    expect(own).toEqual(warning === null ? [] : [expect.stringMatching(warning)]);
    disposeDataset(set);
  });

  it.each<[string, string, Uint8Array, RegExp]>([
    ["negative", "|i1", Uint8Array.of(0, 255, 3, 4, 5, 6), /got values from -1 to 6/],
    ["normalised", "<f4", bytesOf(Float32Array.of(-1, 0.5, 1, 0, 0, 0)), /without normalisation, got values from -1/],
    ["not a number", "<f4", bytesOf(Float32Array.of(Number.NaN, 0.5, 1, 0, 0, 0)), /got NaN or infinity/],
    ["infinite", "<f8", bytesOf(Float64Array.of(Infinity, 0.5, 1, 0, 0, 0)), /got NaN or infinity/],
    ["above 255 as floats", "<f4", bytesOf(Float32Array.of(256, 0, 0, 0, 0, 0)), /got values up to 256/],
    ["of more than 16 bits", "<u4", bytesOf(Uint32Array.of(65536, 0, 0, 0, 0, 0)), /got values up to 65536/],
  ])("with pixels that are %s is refused", async (_, descr, body, message) => {
    const images = (count: number) => npy(descr, [count, 2, 3], Buffer.concat(new Array(count).fill(body)));
    const set = { ...GREY, "train_images.npy": images(3), "val_images.npy": images(1), "test_images.npy": images(2) };
    await expect(load(set)).rejects.toMatchObject({ code: "E_DATA", message: expect.stringMatching(message) });
  });

  it("in Fortran order, grey or in colour, has the images that it has in C order", async () => {
    const shape = [3, 2, 2, 3]; // N, H, W, C
    const own = bytes(36);
    const fortran = new Uint8Array(36);
    for (let n = 0, at = 0; n < 3; n++)
      for (let h = 0; h < 2; h++)
        for (let w = 0; w < 2; w++)
          for (let c = 0; c < 3; c++) fortran[n + 3 * (h + 2 * (w + 2 * c))] = own[at++] as number;
    const small = {
      "val_images.npy": npy("|u1", [1, 2, 2, 3], bytes(12)),
      "test_images.npy": npy("|u1", [2, 2, 2, 3], bytes(24)),
    };
    const first = await load({ ...GREY, ...small, "train_images.npy": npy("|u1", shape, own) });
    const second = await load({ ...GREY, ...small, "train_images.npy": npy("|u1", shape, fortran, "True") });
    expect(values(second.train.images)).toEqual(values(first.train.images));
    disposeDataset(first);
    disposeDataset(second);
  });

  it("has its labels' size compared with the number of images before their memory is taken", async () => {
    const labels = npy("|u1", [20_000, 1], new Uint8Array(20_000));
    await expect(load({ ...GREY, "train_labels.npy": labels })).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/train_labels must have one label for each of 3 images, got \[20000, 1\]/),
    });
  });

  it.each<[string, Record<string, Buffer>, RegExp]>([
    ["a split that is missing", without("val_images.npy"), /lacks val_images/],
    [
      "volumes",
      { ...GREY, "train_images.npy": npy("|u1", [3, 2, 3, 4], bytes(72)) },
      /must be \(N, H, W\) or \(N, H, W, 3\)/,
    ],
    [
      "splits of other kinds of numbers",
      { ...GREY, "test_images.npy": npy("<f4", [2, 2, 3], new Uint8Array(48)) },
      /test_images are of <f4, but train_images are of \|u1/,
    ],
    [
      "several labels an image",
      { ...GREY, "train_labels.npy": npy("|u1", [3, 2], bytes(6)) },
      /one label for each of 3 images/,
    ],
    [
      "labels of another number",
      { ...GREY, "train_labels.npy": npy("|u1", [2], bytes(2)) },
      /one label for each of 3 images/,
    ],
    [
      "negative labels",
      { ...GREY, "train_labels.npy": npy("|i1", [3], Uint8Array.from([0, 255, 1])) },
      /labels contain -1/,
    ],
    ["one class", { ...GREY, "train_labels.npy": npy("|u1", [3], new Uint8Array(3)) }, /contain only one class/],
    [
      "a label that train lacks",
      { ...GREY, "test_labels.npy": npy("|u1", [2], Uint8Array.from([0, 3])) },
      /label 3 of test_labels/,
    ],
    [
      "splits of other sizes",
      { ...GREY, "test_images.npy": npy("|u1", [2, 3, 3], bytes(18)) },
      /test_images are \[2,3,3\]/,
    ],
    [
      "fewer bytes than it says",
      { ...GREY, "train_images.npy": npy("|u1", [30, 2, 3], bytes(18)) },
      /but holds 18 bytes/,
    ],
    [
      "no array",
      { ...GREY, "train_images.npy": Buffer.from("something else") },
      /train_images is not an array in NumPy's format/,
    ],
  ])("is refused with %s", async (_, entries, message) => {
    const before = memory().liveTensors;
    await expect(load(entries)).rejects.toMatchObject({ code: "E_DATA", message: expect.stringMatching(message) });
    expect(memory().liveTensors).toBe(before);
  });

  it("that would unpack to more than is believed, or to more than it says, is refused before the memory is taken", async () => {
    const zeros = { ...GREY, "train_images.npy": npy("|u1", [10_000_000, 2, 3], new Uint8Array(60_000_000)) };
    await expect(load(zeros)).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/would unpack from [\d,]+ to 60,000,000 bytes/),
    });
    await expect(load(GREY, { size: 4_000_000_000 })).rejects.toMatchObject({
      message: expect.stringMatching(/damaged: it holds 146 bytes, and the directory says 4000000000/),
    });
    await expect(load(GREY, { sum: 7 })).rejects.toMatchObject({
      message: expect.stringMatching(/"train_images.npy" is damaged: its checksum/),
    });
    await expect(load(GREY, { size: 20 })).rejects.toMatchObject({ code: "E_DATA" });
  });

  it("is refused where it is a folder or a named pipe, without waiting for one", async () => {
    execFileSync("mkfifo", [join(folder, "pipe.npz")]);
    for (const [dataDir, message] of [
      [folder, /expected an \.npz file, got a folder; name a file in it/],
      [join(folder, "pipe.npz"), /expected a regular file, got a named pipe/],
    ] as const)
      await expect(loadDataset("npz", { dataDir })).rejects.toMatchObject({
        code: "E_DATA",
        message: expect.stringMatching(message),
      });
  });

  it("of images larger than a data set's in memory is refused", async () => {
    const wide = npy("|u1", [3, 1, 1025], new Uint8Array(3 * 1025));
    await expect(load({ ...GREY, "train_images.npy": wide })).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/train_images are 1x1025; each side must be at most 1024 pixels/),
    });
  });

  it("with more classes than images is refused", async () => {
    const labels = npy("<i4", [3], new Uint8Array(Int32Array.of(0, 65_535, 1).buffer));
    await expect(load({ ...GREY, "train_labels.npy": labels })).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/train_labels contain 65535, but there are 3 images/),
    });
  });

  it("that is not a zip, is cut short or is missing is named", async () => {
    const file = join(folder, "bad.npz");
    const failing = () => expect(loadDataset("npz", { dataDir: file })).rejects;
    await failing().toMatchObject({ code: "E_DATA", message: expect.stringMatching(/bad\.npz: cannot be read/) });
    for (const content of [Buffer.from("no zip"), Buffer.alloc(0), zip(GREY).subarray(0, 300)]) {
      await writeFile(file, content);
      await failing().toMatchObject({ code: "E_DATA", message: expect.stringMatching(/expected a zip archive/) });
    }
    await expect(loadDataset("npz")).rejects.toMatchObject({ code: "E_CONFIG" });
  });
});
