import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { makeFolder } from "../../atomic-file.ts";
import { cacheFolder } from "../../cache-folder.ts";
import { BatchCamError } from "../../errors.ts";
import { type ByteSplit, IDX_FILES, readIdxSplits } from "./idx.ts";

/**
 * MD5 sums of the four original files, unpacked. The npm package of the same name is not used, because it splits the
 * images differently.
 */
const FASHION_MD5 = {
  "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
  "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
  "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
  "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
} as const;

/** Mean and standard deviation of the 60,000 training images in [0, 1]. */
export const FASHION_NORMALIZATION = { mean: [0.2860405969887955], std: [0.3530242445149223] } as const;

export const FASHION_CLASSES = [
  "T-shirt/top",
  "Trouser",
  "Pullover",
  "Dress",
  "Coat",
  "Sandal",
  "Shirt",
  "Sneaker",
  "Bag",
  "Ankle boot",
] as const;

const OPERATION = "loadDataset: fashion-mnist";
/** The folder in which Debian's package installs the files. */
const INSTALLED = "/usr/share/datasets/fashion-mnist";
const PACKAGE = "dataset-fashion-mnist";
/** The web site of the data set's authors. */
const SITE = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com";

/**
 * Reads the two splits of Fashion-MNIST (Xiao et al., arXiv 1708.07747) from its four IDX files, unpacked or as .gz.
 * They are looked for in `dataDir` (torchvision's `FashionMNIST/raw` will do). Without `dataDir` they are looked for
 * where Debian's package installs them, and then in the user's cache, into which they are downloaded from that package
 * or from the data set's own site. Every file is checked against its MD5 sum.
 *
 * @throws E_DATA for a missing or different file, with the sources that were tried
 */
export async function readFashionMnist(dataDir?: string): Promise<{ train: ByteSplit; test: ByteSplit }> {
  const given = dataDir !== undefined;
  const folder = dataDir ?? (await ownFolder());
  const again = `delete ${folder} and run again, or give a folder that holds the four files as dataDir`;
  const remedy = given ? "delete it and copy the canonical file there, or leave dataDir out" : again;
  const missing = given ? "name the folder of the four canonical files as dataDir, or leave dataDir out" : again;
  return readIdxSplits({ folder, sums: FASHION_MD5, operation: OPERATION, remedy, missing });
}

const isComplete = (folder: string) =>
  IDX_FILES.every((name) => existsSync(join(folder, name)) || existsSync(join(folder, `${name}.gz`)));

async function ownFolder(): Promise<string> {
  if (isComplete(INSTALLED)) return INSTALLED;
  const cached = join(cacheFolder(), "fashion-mnist");
  if (isComplete(cached)) return cached;
  const failures: string[] = [];
  for (const [name, fetchInto] of [
    [`Debian's package ${PACKAGE}`, fromPackage],
    ["the data set's own site", fromSite],
  ] as const) {
    try {
      await gather(cached, fetchInto);
      return cached;
    } catch (error) {
      failures.push(`${name}: ${(error as Error).message.trim().split("\n").at(-1)}`);
    }
  }
  throw new BatchCamError(
    "E_DATA",
    `${OPERATION}: the four files were not found and could not be downloaded (${failures.join("; ")}); copy them into ${cached}, or give their folder as dataDir`,
  );
}

/**
 * Moves the files into the cache one by one, so that each appears there only when it is complete. Other files in the
 * folder are kept.
 */
async function gather(cached: string, fetchInto: (folder: string) => Promise<string>): Promise<void> {
  await makeFolder(cacheFolder());
  const work = await mkdtemp(join(cacheFolder(), "fashion-mnist-"));
  try {
    const found = await fetchInto(work);
    await makeFolder(cached);
    for (const name of IDX_FILES) {
      const whole = join(work, `${name}.whole`);
      await copyFile(join(found, `${name}.gz`), whole);
      await rename(whole, join(cached, `${name}.gz`));
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const run = promisify(execFile);

/**
 * Downloads and unpacks Debian's package without root privileges. If the system has no package lists, it downloads
 * lists into a folder of its own.
 */
async function fromPackage(work: string): Promise<string> {
  const download = (...options: string[]) => run("apt-get", [...options, "download", PACKAGE], { cwd: work });
  await download().catch(async () => {
    const lists = join(work, "lists");
    await makeFolder(join(lists, "partial"));
    const own = ["-o", `Dir::State::lists=${lists}`, "-o", "Debug::NoLocking=1"];
    await run("apt-get", [...own, "update"], { cwd: work });
    await download(...own);
  });
  const archive = (await readdir(work)).find((name) => name.endsWith(".deb"));
  if (archive === undefined) throw new Error("apt-get downloaded no package");
  await run("dpkg-deb", ["-x", archive, "unpacked"], { cwd: work });
  return join(work, "unpacked", INSTALLED);
}

async function fromSite(work: string): Promise<string> {
  for (const name of IDX_FILES) {
    const response = await fetch(`${SITE}/${name}.gz`, { signal: AbortSignal.timeout(120_000) });
    if (!response.ok) throw new Error(`${name}.gz: HTTP ${response.status}`);
    await writeFile(join(work, `${name}.gz`), new Uint8Array(await response.arrayBuffer()));
  }
  return work;
}
