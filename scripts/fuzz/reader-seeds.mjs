import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import sharp from "sharp";
import { storedEntries, zipWithoutSums } from "./program.mjs";

/** @typedef {Pick<typeof import("../../dist/tensor.js"), "saveSafetensors" | "tensor"> & { file: string }} Writer */

const FIXTURES = fileURLToPath(new URL("../../test/fixtures", import.meta.url));

/**
 * The smaller files of a folder of fixtures whose names match a pattern.
 *
 * @param {string} folder
 * @param {RegExp} pattern
 */
function fixtures(folder, pattern) {
  const found = readdirSync(join(FIXTURES, folder), { recursive: true, encoding: "utf8" }).filter((name) =>
    pattern.test(name),
  );
  return found.map((name) => readFileSync(join(FIXTURES, folder, name))).filter(({ length }) => length < 60_000);
}

/**
 * Valid files of every kind that the library reads. A key is a file name that such a file may have.
 *
 * @param {Writer} engine
 * @returns {Promise<Record<string, Buffer[]>>}
 */
export async function readerSeeds(engine) {
  return {
    "image.png": [await picture("png"), ...fixtures("inputs", /\.png$/)],
    "image.jpg": [await picture("jpeg")],
    "image.webp": [await picture("webp")],
    "image.gif": [await picture("gif")],
    "image.tif": [await picture("tiff"), ...fixtures("inputs", /\.tif$/)],
    "image.bmp": fixtures("inputs", /\.bmp$/),
    "image.heic": fixtures("inputs", /\.heic$/),
    "weights.safetensors": [await safetensors(engine)],
    "weights.pth": fixtures("torch-files", /\.(pth|pt)$/),
    "model.pt2": fixtures("exported", /\.pt2$/).map((zip) => zipWithoutSums(storedEntries(zip))),
    "set.npz": fixtures("inputs", /\.npz$/),
    "set.csv": [
      Buffer.from("path,label,split\na.png,cat,train\nb.png,dog,train\nc.png,cat,test\nd.png,dog,test\n"),
      ...fixtures("inputs", /\.csv$/),
    ],
    "train-images-idx3-ubyte": [idx([3, 4, 4]), idx([5])],
    "train-images-idx3-ubyte.gz": [gzipSync(idx([3, 4, 4]))],
    "options.yaml": [Buffer.from("epochs: 3\nlr: 1.0e-3\nmodel: simple-cnn\nbase: &a { seed: 1 }\nmore: *a\n")],
    "config.json": [
      Buffer.from(JSON.stringify({ model: "simple-cnn", dataset: "mnist", epochs: 3, lr: 0.001, augFlip: true })),
    ],
  };
}

/** @param {"png" | "jpeg" | "webp" | "gif" | "tiff"} format */
const picture = (format) =>
  sharp(Buffer.from(Array.from({ length: 12 * 10 * 3 }, (_, i) => (i * 37) % 256)), {
    raw: { width: 12, height: 10, channels: 3 },
  })
    .toFormat(format)
    .toBuffer();

/** @param {Writer} engine */
async function safetensors({ saveSafetensors, tensor, file }) {
  await saveSafetensors(
    file,
    new Map([
      ["conv.weight", tensor([1, 2, 3, 4], { shape: [2, 2] })],
      ["n", tensor([1n])],
    ]),
    { format: "pt" },
  );
  return readFileSync(file);
}

/**
 * An IDX file of bytes, the format of MNIST.
 *
 * @param {readonly number[]} sizes
 */
function idx(sizes) {
  const head = Buffer.from([0, 0, 8, sizes.length]);
  const sides = Buffer.alloc(4 * sizes.length);
  for (const [i, size] of sizes.entries()) sides.writeUInt32BE(size, 4 * i);
  const count = sizes.reduce((a, b) => a * b, 1);
  return Buffer.concat([head, sides, Buffer.from(Array.from({ length: count }, (_, i) => i % 10))]);
}
