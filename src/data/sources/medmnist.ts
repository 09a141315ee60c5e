import { counted, wordFor } from "../../counted.ts";
import type { BatchCamError } from "../../errors.ts";
import type { NpyValues } from "../../io/internal.ts";
import { dataError, type NpzArray, type ReadContext, readNpz } from "../../io/internal.ts";
import { type Tensor, tensor } from "../../tensor/index.ts";
import { contentHash } from "../images/file-hashes.ts";
import { SPLIT_NAMES, type Split, type SplitName } from "../splits/split.ts";
import { channelStatistics } from "./labelled-dataset.ts";
import { type PixelLayout, pixelScale, planarBytes } from "./npz-pixels.ts";

const CONTEXT: ReadContext = {
  operation: "loadDataset: npz",
  remedy: "give a file of one of MedMNIST's 2-D data sets with one label for each image, or one with the same arrays",
};

/** The same limit as for a user's own images in other formats. */
const MOST_SIDE = 1024;
const MOST_CLASSES = 65_536;

type Fault = (problem: string) => BatchCamError;

/**
 * Reads a data set in the format of MedMNIST v2 (Yang et al. 2023): `train_images`, `val_images` and `test_images`, (N,
 * H, W) or (N, H, W, 3), and `*_labels`, integers from 0, (N) or (N, 1). The arrays may have any bool, integer or float
 * dtype of NumPy, any byte order, and C or Fortran order. `pixelScale` decides how pixel values are scaled. Classes are
 * named by their number.
 *
 * The shapes of all arrays are checked against each other before any values are read, so that a file cannot make the
 * program allocate labels for more images than it contains.
 *
 * @throws E_DATA for missing or malformed arrays, volumes, several labels for an image, labels without images, or a
 *   single class
 */
export async function readMedMnist(path: string): Promise<Record<SplitName, Split> & { warnings: readonly string[] }> {
  const names = SPLIT_NAMES.flatMap((split) => [`${split}_images`, `${split}_labels`]);
  const fault = (problem: string) => dataError(path, problem, CONTEXT);
  return readNpz(path, names, async (arrays) => {
    const parts = SPLIT_NAMES.map((name) => partOf(name, arrays, fault));
    expectOneSize(parts, fault);
    const labels: Uint16Array[] = [];
    for (const part of parts) labels.push(labelsOf(part.name, await part.labels.read(), fault));
    const numClasses = classCountOf(labels, fault);
    const { pixels, note } = await pixelsOf(parts, fault);
    const [{ layout }] = parts as [Part];
    const size = [layout.height, layout.width] as const;
    const common = {
      numClasses,
      classNames: Array.from({ length: numClasses }, (_, label) => String(label)),
      normalization: channelStatistics(pixels[0] as Uint8Array, { channels: layout.channels, size }),
    };
    const splits = parts.map(({ name, layout: own }, i): Split => {
      const shape = [own.count, own.channels, own.height, own.width];
      const bytes = pixels[i] as Uint8Array;
      return {
        name,
        ...tensorsOf(bytes, shape, labels[i] as Uint16Array),
        ...pathsAndHashes(name, bytes, own.count),
        ...common,
      };
    });
    const [train, val, test] = splits as [Split, Split, Split];
    return { train, val, test, warnings: note === undefined ? [] : [`${path}: ${note}`] };
  });
}

/** The arrays of a split, after their shapes were checked against each other. */
interface Part {
  name: SplitName;
  layout: PixelLayout;
  images: NpzArray;
  labels: NpzArray;
}

function partOf(name: SplitName, arrays: ReadonlyMap<string, NpzArray>, fault: Fault): Part {
  const [images, labels] = [arrays.get(`${name}_images`), arrays.get(`${name}_labels`)];
  if (images === undefined || labels === undefined) {
    const missing = [images ?? `${name}_images`, labels ?? `${name}_labels`].filter((of) => typeof of === "string");
    throw fault(`lacks ${missing.join(" and ")}`);
  }
  const [count = 0, height = 0, width = 0, channels = 1] = images.shape;
  const flat = images.shape.length === 3 || (images.shape.length === 4 && (channels === 1 || channels === 3));
  if (!flat || count * height * width === 0)
    throw fault(`${name}_images must be (N, H, W) or (N, H, W, 3) with values, got [${images.shape.join(", ")}]`);
  if (Math.max(height, width) > MOST_SIDE)
    throw fault(`${name}_images are ${height}x${width}; each side must be at most ${MOST_SIDE} pixels`);
  const [rows, columns = 1] = labels.shape;
  if (labels.shape.length > 2 || columns !== 1 || rows !== count)
    throw fault(
      `${name}_labels must have one label for each of ${counted(count, "image")}, got [${labels.shape.join(", ")}]`,
    );
  return { name, layout: { count, height, width, channels, fortranOrder: images.fortranOrder }, images, labels };
}

function expectOneSize(parts: readonly Part[], fault: Fault): void {
  const [train] = parts as [Part];
  for (const { name, layout, images } of parts) {
    const { height, width, channels } = train.layout;
    if (layout.height !== height || layout.width !== width || layout.channels !== channels)
      throw fault(`${name}_images are [${images.shape}], but train_images are [${train.images.shape}]`);
    if (images.dtype.kind !== train.images.dtype.kind)
      throw fault(`${name}_images are of ${images.dtype.name}, but train_images are of ${train.images.dtype.name}`);
  }
}

function labelsOf(name: SplitName, values: NpyValues, fault: Fault): Uint16Array {
  const wrong = values.find((label) => !Number.isSafeInteger(label) || label < 0 || label >= MOST_CLASSES);
  if (wrong !== undefined) throw fault(`${name}_labels contain ${wrong}; they must be whole numbers from 0 to 65535`);
  return Uint16Array.from(values);
}

function classCountOf(labels: readonly Uint16Array[], fault: Fault): number {
  const [train, ...others] = labels as [Uint16Array, ...Uint16Array[]];
  const numClasses = train.reduce((most, label) => Math.max(most, label + 1), 0);
  if (numClasses < 2) throw fault("train_labels contain only one class; at least two are needed");
  if (numClasses > train.length)
    throw fault(
      `train_labels contain ${numClasses - 1}, but there ${wordFor(train.length, "is", "are")} ${counted(train.length, "image")}`,
    );
  for (const [i, own] of others.entries()) {
    const unknown = own.find((label) => label >= numClasses);
    if (unknown !== undefined) throw fault(`label ${unknown} of ${SPLIT_NAMES[i + 1]}_labels is not in train_labels`);
  }
  return numClasses;
}

async function pixelsOf(
  parts: readonly Part[],
  fault: Fault,
): Promise<{ pixels: Uint8Array[]; note: string | undefined }> {
  const values: NpyValues[] = [];
  for (const { images } of parts) values.push(await images.read());
  const meaning = pixelScale((parts[0] as Part).images.dtype, values);
  if (typeof meaning === "string") throw fault(`images ${meaning}`);
  const pixels = parts.map(({ layout }, i) => planarBytes(values[i] as NpyValues, layout, meaning.scale));
  return { pixels, note: meaning.note };
}

/** Images in an array have no files, so they are named by their position and their hashes are those of their pixels. */
function pathsAndHashes(name: SplitName, pixels: Uint8Array, count: number): Pick<Split, "paths" | "hashes"> {
  const size = pixels.length / count;
  const places = Array.from({ length: count }, (_, i) => i);
  return {
    paths: places.map((i) => `${name}_images[${i}]`),
    hashes: places.map((i) => contentHash(pixels.subarray(i * size, (i + 1) * size))),
  };
}

function tensorsOf(
  pixels: Uint8Array,
  shape: readonly number[],
  labels: Uint16Array,
): { images: Tensor; labels: Tensor } {
  return {
    images: tensor(pixels, { shape: [...shape], dtype: "uint8" }),
    labels: tensor(BigInt64Array.from(labels, BigInt), { shape: [labels.length], dtype: "int64" }),
  };
}
