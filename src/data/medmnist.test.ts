import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { crc32 } from "../checksum.ts";
import { memory } from "../tensor/index.ts";
import { disposeDataset, loadDataset } from "./index.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "npz-"));
});
afterEach(() => rm(folder, { recursive: true }));

const npy = (descr: string, shape: readonly number[], body: Uint8Array, order = "False"): Buffer => {
  const text = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${shape.join(", ")}${shape.length === 1 ? "," : ""}), }`;
  const header = Buffer.from(`${text.padEnd(117)}\n`, "latin1");
  const size = Buffer.alloc(2);
  size.writeUInt16LE(header.length);
  return Buffer.concat([Buffer.from([0x93]), Buffer.from("NUMPY"), Buffer.from([1, 0]), size, header, body]);
};

interface Lie {
  /** What the zip says an entry unpacks to, in place of the truth. */
  size?: number;
  /** Checksum of what it unpacks to. */
  sum?: number;
}

/** A zip, written by hand so that it can lie. */
function zip(entries: Readonly<Record<string, Buffer>>, lie: Lie = {}): Buffer {
  const [locals, central]: [Buffer[], Buffer[]] = [[], []];
  let offset = 0;
  for (const [name, content] of Object.entries(entries)) {
    const packed = deflateRawSync(content);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(lie.sum ?? crc32(content), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(lie.size ?? content.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), common, Buffer.from(name), packed]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    locals.push(local);
    central.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x00", "latin1"), common, tail, Buffer.from(name)]));
    offset += local.length;
  }
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", 0, "latin1");
  end.writeUInt16LE(central.length, 8);
  end.writeUInt16LE(central.length, 10);
  end.writeUInt32LE(Buffer.concat(central).length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, ...central, end]);
}

const int64 = (...values: number[]): Uint8Array => new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
const bytes = (count: number, first = 0): Uint8Array => Uint8Array.from({ length: count }, (_, i) => (first + i) % 256);

/** Grey 2x3 images; each split's own bytes. */
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

  it("passes over arrays that it does not know", async () => {
    disposeDataset(await load({ ...GREY, "notes.npy": Buffer.from("no array") }));
  });

  it.each<[string, Record<string, Buffer>, RegExp]>([
    ["a split that is missing", without("val_images.npy"), /lacks val_images/],
    [
      "volumes",
      { ...GREY, "train_images.npy": npy("|u1", [3, 2, 3, 4], bytes(72)) },
      /must be uint8 \(N, H, W\) or \(N, H, W, 3\)/,
    ],
    ["images of floats", { ...GREY, "train_images.npy": npy("<f4", [3, 2, 3], bytes(72)) }, /dtype <f4/],
    ["images of wide numbers", { ...GREY, "train_images.npy": npy("<i2", [3, 2, 3], bytes(36)) }, /must be uint8/],
    [
      "several labels an image",
      { ...GREY, "train_labels.npy": npy("|u1", [3, 2], bytes(6)) },
      /one for each of 3 images/,
    ],
    [
      "labels of another number",
      { ...GREY, "train_labels.npy": npy("|u1", [2], bytes(2)) },
      /one for each of 3 images/,
    ],
    [
      "negative labels",
      { ...GREY, "train_labels.npy": npy("|i1", [3], Uint8Array.from([0, 255, 1])) },
      /labels hold -1/,
    ],
    ["one class", { ...GREY, "train_labels.npy": npy("|u1", [3], new Uint8Array(3)) }, /one class alone/],
    [
      "a label that train lacks",
      { ...GREY, "test_labels.npy": npy("|u1", [2], Uint8Array.from([0, 3])) },
      /label 3 of test_labels/,
    ],
    [
      "splits of other sizes",
      { ...GREY, "test_images.npy": npy("|u1", [2, 3, 3], bytes(18)) },
      /test_images are \[2,1,3,3\]/,
    ],
    ["Fortran order", { ...GREY, "train_images.npy": npy("|u1", [3, 2, 3], bytes(18), "True") }, /Fortran order/],
    [
      "fewer bytes than it says",
      { ...GREY, "train_images.npy": npy("|u1", [30, 2, 3], bytes(18)) },
      /but holds 18 bytes/,
    ],
    ["no array", { ...GREY, "train_images.npy": Buffer.from("something else") }, /no array of NumPy's/],
  ])("is refused with %s", async (_, entries, message) => {
    const before = memory().liveTensors;
    await expect(load(entries)).rejects.toMatchObject({ code: "E_DATA", message: expect.stringMatching(message) });
    expect(memory().liveTensors).toBe(before);
  });

  it("that would unpack to more than is believed, or to more than it says, is refused before the memory is taken", async () => {
    const zeros = { ...GREY, "train_images.npy": npy("|u1", [10_000_000, 2, 3], new Uint8Array(60_000_000)) };
    await expect(load(zeros)).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/more than is believed/),
    });
    await expect(load(GREY, { size: 4_000_000_000 })).rejects.toMatchObject({
      message: expect.stringMatching(/more than is believed/),
    });
    await expect(load(GREY, { sum: 7 })).rejects.toMatchObject({
      message: expect.stringMatching(/train_images is damaged/),
    });
    await expect(load(GREY, { size: 20 })).rejects.toMatchObject({ code: "E_DATA" });
  });

  it("of images larger than a data set's in memory is refused", async () => {
    const wide = npy("|u1", [3, 1, 1025], new Uint8Array(3 * 1025));
    await expect(load({ ...GREY, "train_images.npy": wide })).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/train_images are 1x1025; at most 1024 pixels a side/),
    });
  });

  it("with more classes than images is refused", async () => {
    const labels = npy("<i4", [3], new Uint8Array(Int32Array.of(0, 65_535, 1).buffer));
    await expect(load({ ...GREY, "train_labels.npy": labels })).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/train_labels hold 65535, but there are 3 images/),
    });
  });

  it("that is no zip, is cut short or is missing is named", async () => {
    const file = join(folder, "bad.npz");
    const failing = () => expect(loadDataset("npz", { dataDir: file })).rejects;
    await failing().toMatchObject({ code: "E_DATA", message: expect.stringMatching(/bad\.npz: cannot be read/) });
    for (const content of [Buffer.from("no zip"), Buffer.alloc(0), zip(GREY).subarray(0, 300)]) {
      await writeFile(file, content);
      await failing().toMatchObject({ code: "E_DATA", message: expect.stringMatching(/cannot be read as \.npz/) });
    }
    await expect(loadDataset("npz")).rejects.toMatchObject({ code: "E_CONFIG" });
  });
});
