import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { readRegularFile } from "../../regular-file.ts";
import type { DatasetName } from "../description.ts";
import { hashFiles } from "../images/file-hashes.ts";
import { type LabelledImage, type LabelledImages, listClassFolder } from "../sources/class-folder.ts";
import { pathWithin } from "../sources/reading-notes.ts";
import type { SplitName } from "../splits/split.ts";
import { digestOfLines, wholeHash } from "./data-record.ts";

export type NamedImage = LabelledImage & { name: SplitName };

/** The images of a data set in one list, each with the split that the files name, or "train". */
export const namedImages = ({ splits }: LabelledImages): NamedImage[] =>
  (Object.keys(splits) as SplitName[]).flatMap((name) => (splits[name] ?? []).map((image) => ({ ...image, name })));

export interface ListedPlace {
  /** Folder or file that names the images. */
  source: string;
  /** Folder that the images' paths are relative to. */
  root: string;
  signal?: AbortSignal;
}

export interface HashedListing {
  /** For each image the hash of its file; null where the file cannot be read. */
  hashes: readonly (string | null)[];
  /** For each image the hash of its mask's file, which is empty for one that cannot be read; undefined where it has no mask. */
  maskHashes: readonly (string | undefined)[];
  /** SHA-256 over path, split, class and content of all images, whatever their order. */
  digest: string;
}

/** Hashes what the files of a data set say: no image is decoded, and nothing is drawn. */
export async function hashListing(
  named: readonly NamedImage[],
  classNames: readonly string[],
  { source, root, ...options }: ListedPlace,
): Promise<HashedListing> {
  const own = await hashFiles(
    named.map(({ path }) => path),
    { source, ...options },
  );
  const masked = named.flatMap(({ mask }, place) => (mask === undefined ? [] : [{ mask, place }]));
  const masks = await hashFiles(
    masked.map(({ mask }) => mask),
    { source: `${source}#masks`, ...options },
  );
  const hashes = own.map((file) => file?.hash ?? null);
  const maskHashes = new Array<string | undefined>(named.length).fill(undefined);
  for (const [i, { place }] of masked.entries()) maskHashes[place] = masks[i]?.hash ?? "";
  const lines = named.map(({ name, path, label }, i) => [
    name,
    pathWithin(root, path),
    classNames[label] as string,
    wholeOrNull(hashes[i] ?? null, maskHashes[i]),
  ]);
  return { hashes, maskHashes, digest: digestOfLines(lines) };
}

const wholeOrNull = (hash: string | null, mask: string | undefined): string | null =>
  hash === null ? null : wholeHash({ hash, mask });

/** The folder that the paths of a data set's images are relative to; null where they have none. */
export function rootOf(name: DatasetName, dataDir: string): string | null {
  if (name === "folder") return dataDir;
  return name === "csv" ? dirname(dataDir) : null;
}

/**
 * Digest of the images in `dataDir`, which is the same wherever they lie: of their paths within the folder, their classes, the splits
 * that the files name, and their bytes. Null for data sets that come with the package, whose files have known sums.
 *
 * @throws E_DATA as `loadDataset` does where the data set cannot be listed
 */
export async function datasetDigest(name: DatasetName, options: DigestOptions): Promise<string | null> {
  const { dataDir, signal, followLinks = false } = options;
  if (dataDir === undefined) return null;
  const listed =
    name === "folder"
      ? await listClassFolder(dataDir, { followLinks })
      : name === "csv"
        ? await manifestOf(dataDir, followLinks)
        : null;
  if (listed === null) return name === "npz" ? fileDigest(dataDir) : null;
  const place = { source: dataDir, root: rootOf(name, dataDir) as string, ...(signal ? { signal } : {}) };
  return (await hashListing(namedImages(listed), listed.classNames, place)).digest;
}

export interface DigestOptions {
  dataDir?: string | undefined;
  followLinks?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

async function manifestOf(file: string, followLinks: boolean): Promise<LabelledImages> {
  const { readManifest } = await import("../sources/manifest.ts"); // its parser takes longer to load than most commands need
  return readManifest(file, { followLinks });
}

/** SHA-256 of a file, from the index of hashes where the file is at rest. */
export async function fileDigest(path: string): Promise<string> {
  const [file] = await hashFiles([path], { source: path });
  if (file != null) return digestOfLines([[file.hash]]);
  return createHash("sha256")
    .update(await readRegularFile(path))
    .digest("hex"); // throws what the file system says
}
