import { OWN_DATA } from "../../config/internal.ts";
import { sha256OfFile } from "../../regular-file.ts";
import type { DatasetName } from "../description.ts";
import { hashFiles } from "../images/file-hashes.ts";
import type { LabelledImage, LabelledImages } from "../sources/class-folder.ts";
import { LISTED_SOURCES } from "../sources/listed-sources.ts";
import { pathWithin } from "../sources/reading-notes.ts";
import type { SplitName } from "../splits/split.ts";
import { digestOfLines, wholeHash } from "./data-record.ts";

export type NamedImage = LabelledImage & { name: SplitName };

/** All images of a data set in one list, each with the split that the files name for it, or "train" if they name none. */
export const namedImages = ({ splits }: LabelledImages): NamedImage[] =>
  (Object.keys(splits) as SplitName[]).flatMap((name) => (splits[name] ?? []).map((image) => ({ ...image, name })));

export interface ListedPlace {
  /** The folder or CSV file that lists the images. */
  source: string;
  /** Folder that the images' paths are relative to. */
  root: string;
  signal?: AbortSignal;
}

export interface HashedListing {
  /** The hash of each image's file; null if the file cannot be read. */
  hashes: readonly (string | null)[];
  /** The hash of each image's mask file: empty if the mask cannot be read, undefined if the image has no mask. */
  maskHashes: readonly (string | undefined)[];
  /** SHA-256 over the path, split, class and content of all images, independent of their order. */
  digest: string;
}

/** Hashes the files of a data set. It neither decodes an image nor draws a split. */
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

/** The folder that the images' paths are relative to; null for data sets whose images have no paths. */
export function rootOf(name: DatasetName, dataDir: string): string | null {
  return LISTED_SOURCES[name]?.root(dataDir) ?? null;
}

/**
 * Digest of the images in `dataDir`: of their paths within the folder, their classes, the splits that the files name,
 * and their bytes. Moving the folder does not change it. It is null for data sets that come with the package, whose
 * files are checked against known checksums.
 *
 * @throws E_DATA as `loadDataset` does, if the data set cannot be listed
 */
export async function datasetDigest(name: DatasetName, options: DigestOptions): Promise<string | null> {
  const { dataDir, signal, followLinks = false } = options;
  if (dataDir === undefined || !OWN_DATA.has(name)) return null;
  const source = LISTED_SOURCES[name];
  if (source === undefined) return fileDigest(dataDir);
  const listed = await source.list(dataDir, { followLinks });
  const place = { source: dataDir, root: source.root(dataDir), ...(signal ? { signal } : {}) };
  return (await hashListing(namedImages(listed), listed.classNames, place)).digest;
}

export interface DigestOptions {
  dataDir?: string | undefined;
  followLinks?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** SHA-256 of a file. The hash comes from the index of known hashes if the file has not changed since. */
export async function fileDigest(path: string): Promise<string> {
  const [file] = await hashFiles([path], { source: path });
  if (file != null) return digestOfLines([[file.hash]]);
  return sha256OfFile(path); // if it cannot be read, the error of the file system is thrown
}
