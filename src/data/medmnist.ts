import { type Tensor, tensor } from "../tensor/index.ts";
import type { SplitName } from "./class-folder.ts";
import { dataError, type ReadContext } from "./file-bytes.ts";
import { channelStatistics } from "./labelled-dataset.ts";
import { type NpyArray, readNpz } from "./npz.ts";
import type { Split } from "./split.ts";

const CONTEXT: ReadContext = {
  operation: "loadDataset: npz",
  remedy: "give a file of MedMNIST's 2-D sets with one label an image, or one of the same form",
};
const SPLITS: readonly SplitName[] = ["train", "val", "test"];

/** As of other images of one's own. */
const MOST_SIDE = 1024;

/**
 * A data set in the form of MedMNIST v2 (Yang et al. 2023): `train_images`, `val_images`, `test_images`, uint8 (N, H, W) or (N, H, W, 3), and
 * `*_labels`, whole numbers (N) or (N, 1) from 0 on. Classes are named by their number.
 *
 * @throws E_DATA for missing or ill-formed arrays, volumes, several labels an image, labels without images, or one class
 */
export async function readMedMnist(path: string): Promise<Record<SplitName, Split>> {
  const arrays = await readNpz(
    path,
    SPLITS.flatMap((split) => [`${split}_images`, `${split}_labels`]),
  );
  const parts = SPLITS.map((name) => partOf(path, name, arrays));
  const [train] = parts as [Part];
  const numClasses = train.labels.reduce((most, label) => Math.max(most, label + 1), 0);
  if (numClasses < 2) throw dataError(path, `train_labels name one class alone`, CONTEXT);
  if (numClasses > train.labels.length)
    throw dataError(path, `train_labels hold ${numClasses - 1}, but there are ${train.labels.length} images`, CONTEXT);
  for (const { name, shape, labels } of parts) {
    if (shape.slice(1).join() !== train.shape.slice(1).join())
      throw dataError(path, `${name}_images are [${shape}], and train_images [${train.shape}]`, CONTEXT);
    const unknown = labels.find((label) => label >= numClasses);
    if (unknown !== undefined)
      throw dataError(path, `label ${unknown} of ${name}_labels is not in train_labels`, CONTEXT);
  }
  const [, channels, height, width] = train.shape;
  const classNames = Array.from({ length: numClasses }, (_, label) => String(label));
  const common = {
    numClasses,
    classNames,
    normalization: channelStatistics(train.pixels, { channels, size: [height, width] }),
  };
  const [first, val, test] = parts.map((part): Split => ({ name: part.name, ...tensorsOf(part), ...common })) as [
    Split,
    Split,
    Split,
  ];
  return { train: first, val, test };
}

interface Part {
  name: SplitName;
  shape: [count: number, channels: number, height: number, width: number];
  pixels: Uint8Array;
  labels: number[];
}

function partOf(path: string, name: SplitName, arrays: ReadonlyMap<string, NpyArray>): Part {
  const fault = (problem: string) => dataError(path, problem, CONTEXT);
  const [images, labels] = [arrays.get(`${name}_images`), arrays.get(`${name}_labels`)];
  if (images === undefined || labels === undefined)
    throw fault(
      `lacks ${[images ?? `${name}_images`, labels ?? `${name}_labels`].filter((of) => typeof of === "string").join(" and ")}`,
    );
  const [count = 0, height = 0, width = 0, channels = 1] = images.shape;
  const flat = images.shape.length === 3 || (images.shape.length === 4 && (channels === 1 || channels === 3));
  if (!flat || count * height * width === 0 || !(images.values instanceof Uint8Array))
    throw fault(`${name}_images must be uint8 (N, H, W) or (N, H, W, 3) with values, got [${images.shape.join(", ")}]`);
  if (Math.max(height, width) > MOST_SIDE)
    throw fault(`${name}_images are ${height}x${width}; at most ${MOST_SIDE} pixels a side are read`);
  const [rows, columns = 1] = labels.shape;
  if (labels.shape.length > 2 || columns !== 1 || rows !== count)
    throw fault(`${name}_labels must be one for each of ${count} images, got [${labels.shape.join(", ")}]`);
  const values = Array.from(labels.values);
  const wrong = values.find((label) => !Number.isSafeInteger(label) || label < 0 || label > 65535);
  if (wrong !== undefined) throw fault(`${name}_labels hold ${wrong}`);
  const shape: Part["shape"] = [count, channels, height, width];
  return { name, shape, pixels: planar(images.values, shape), labels: values };
}

/** (N, H, W, C) as (N, C, H, W). */
function planar(values: Uint8Array, [count, channels, height, width]: Part["shape"]): Uint8Array {
  if (channels === 1) return values;
  const pixels = height * width;
  const planes = new Uint8Array(values.length);
  for (let n = 0; n < count; n++)
    for (let p = 0; p < pixels; p++)
      for (let c = 0; c < channels; c++)
        planes[(n * channels + c) * pixels + p] = values[(n * pixels + p) * channels + c] as number;
  return planes;
}

function tensorsOf({ shape, pixels, labels }: Part): { images: Tensor; labels: Tensor } {
  return {
    images: tensor(pixels, { shape, dtype: "uint8" }),
    labels: tensor(BigInt64Array.from(labels, BigInt), { shape: [labels.length], dtype: "int64" }),
  };
}
