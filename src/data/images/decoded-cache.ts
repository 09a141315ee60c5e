import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { replaceFile, writeFileAtomically } from "../../atomic-file.ts";
import { cacheFolder } from "../../cache-folder.ts";
import { BatchCamError } from "../../errors.ts";
import { readRegularText } from "../../regular-file.ts";
import { readImages } from "../sources/image-folder.ts";
import { type HashedFile, hashFiles, isUnchanged } from "./file-hashes.ts";
import { DECODER_VERSION, type ImageFile } from "./image-file.ts";
import type { Background } from "./pixels.ts";
import type { ImageFit } from "./resize.ts";

export interface DecodeOptions {
  /** Folder or file that lists the images. Each has its own cache for every combination of decoding options. */
  source: string;
  channels: 1 | 3;
  /** Height and width. */
  size: readonly [number, number];
  fit: ImageFit;
  /** Colour of transparent pixels and margins (default: white). */
  background?: Background;
  /** Aborts the decoding between two files: the promise rejects with the reason of the signal. */
  signal?: AbortSignal;
  /** Called with the error of a file that cannot be read, which is then left out. Without it, the first such error is thrown. */
  onError?: (error: BatchCamError, path: string) => void;
}

/** The images that could be decoded, in the order of their paths. */
export interface Decoded {
  /** (N, C, H, W) */
  pixels: Uint8Array;
  /** For each decoded image, the index of its path. */
  kept: Int32Array;
  /** Descriptions of what reading changed in each decoded image, such as "16 bits scaled to 8". */
  notes: readonly (readonly string[])[];
}

interface Index {
  version: 3;
  /** Checksum of the file of pixels that this index belongs to. */
  sum: string;
  /** For each row of pixels, the hash of the file that it was decoded from. */
  hashes: string[];
  /** The notes for each row. Empty entries at the end are omitted. */
  notes: (readonly string[])[];
}

/**
 * Decodes files to images of one size. The pixels are kept in the cache folder by the hash of the file that they were
 * decoded from, so that the next time only new contents are decoded. `hashFiles` decides which files have to be read
 * for that. If the cache is damaged or cannot be written, everything is decoded again and the result is the same.
 *
 * @throws E_DATA for a file that cannot be read, unless `onError` handles it, and for a file that changes while it is
 *   being read
 */
export async function decodeImages(paths: readonly string[], options: DecodeOptions): Promise<Decoded> {
  const files = await hashFiles(paths, options);
  const hashes = files.map((file) => file?.hash ?? null);
  const cache = cacheOf(options);
  const length = options.channels * options.size[0] * options.size[1];
  const known = await readCache(cache, length);
  const pixels = new Uint8Array(files.length * length);
  const notes: (readonly string[])[] = files.map(() => []);
  const stale: number[] = [];
  for (const [i, hash] of hashes.entries()) {
    const at = hash === null ? undefined : known?.places.get(hash);
    if (at === undefined) stale.push(i);
    else {
      pixels.set((known as Cached).pixels.subarray(at * length, (at + 1) * length), i * length);
      notes[i] = known?.notes[at] ?? [];
    }
  }
  if (stale.length === 0) return { pixels, kept: Int32Array.from(files.keys()), notes };
  const bad = await decodeInto(pixels, { paths, stale, length, options, notes });
  const kept = Int32Array.from(files.keys()).filter((i) => !bad.has(i));
  await expectUnchanged({ paths, files, stale, bad });
  const packed = bad.size === 0 ? pixels : pack(pixels, kept, length);
  const keptNotes = Array.from(kept, (i) => notes[i] ?? []);
  await writeCache(cache, { pixels: packed, hashes: Array.from(kept, (i) => hashes[i] ?? null), notes: keptNotes });
  return { pixels: packed, kept, notes: keptNotes };
}

interface Read {
  paths: readonly string[];
  files: readonly (HashedFile | null)[];
  stale: readonly number[];
  bad: ReadonlySet<number>;
}

/** Throws if a file changed between the time when it was hashed and the time when it was decoded. */
async function expectUnchanged({ paths, files, stale, bad }: Read): Promise<void> {
  for (const i of stale) {
    const [path, file] = [paths[i] as string, files[i] ?? null];
    if (bad.has(i) || (file !== null && (await isUnchanged(path, file)))) continue;
    throw new BatchCamError(
      "E_DATA",
      `loadDataset: ${path}: the file changed while it was being read; run the command again when no program is writing to it`,
    );
  }
}

function cacheOf({ source, channels, size, fit }: DecodeOptions): string {
  const key = createHash("sha256")
    .update(JSON.stringify([DECODER_VERSION, resolve(source), channels, size, fit]))
    .digest("hex");
  return join(cacheFolder(), "decoded", key.slice(0, 24));
}

interface Cached {
  pixels: Uint8Array;
  /** Row of pixels for each file hash. */
  places: Map<string, number>;
  notes: readonly (readonly string[])[];
}

async function readCache(cache: string, length: number): Promise<Cached | null> {
  try {
    const index = JSON.parse(await readRegularText(`${cache}.json`)) as Index;
    if (index.version !== 3) return null;
    const pixels = await readPixels(`${cache}.bin`, index.hashes.length * length);
    if (pixels === null || sumOf(pixels) !== index.sum) return null;
    return { pixels, places: new Map(index.hashes.map((hash, row) => [hash, row])), notes: index.notes };
  } catch {
    return null; // the cache does not exist or is incomplete
  }
}

/** Reads the pixels in pieces, because Node cannot read 2 GiB or more at once. Returns null if the file has another size. */
async function readPixels(path: string, length: number): Promise<Uint8Array | null> {
  const file = await open(path);
  try {
    if ((await file.stat()).size !== length) return null;
    const pixels = new Uint8Array(length);
    for (const piece of piecesOf(pixels)) {
      const { bytesRead } = await file.read(piece, 0, piece.length, piece.byteOffset);
      if (bytesRead !== piece.length) return null;
    }
    return pixels;
  } finally {
    await file.close();
  }
}

const PIECE = 2 ** 28;

function* piecesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += PIECE) yield bytes.subarray(start, start + PIECE);
}

/**
 * Writes the cache. The index is written last and contains the checksum of the pixels, so that a process killed between
 * the two files leaves a pair that is recognised as invalid.
 */
async function writeCache(
  cache: string,
  { pixels, hashes, notes }: { pixels: Uint8Array; hashes: (string | null)[]; notes: (readonly string[])[] },
): Promise<void> {
  if (hashes.includes(null)) return;
  const sum = sumOf(pixels);
  const last = notes.findLastIndex((own) => own.length > 0);
  try {
    await replaceFile(`${cache}.bin`, async (file) => void (await file.writeFile(pixels)));
    await writeFileAtomically(
      `${cache}.json`,
      JSON.stringify({ version: 3, sum, hashes, notes: notes.slice(0, last + 1) }),
    );
  } catch (error) {
    if (!(error instanceof BatchCamError)) throw error; // the cache is optional, so a full disk must not end the program
  }
}

function sumOf(bytes: Uint8Array): string {
  const hash = createHash("sha1");
  for (const piece of piecesOf(bytes)) hash.update(piece);
  return hash.digest("hex");
}

interface Job {
  paths: readonly string[];
  stale: readonly number[];
  length: number;
  options: DecodeOptions;
  /** Receives the notes of each image, at the index of its path. */
  notes: (readonly string[])[];
}

/**
 * Decodes the files at the indices `stale` into their rows of `pixels`.
 * @returns the indices of the files that could not be read
 */
async function decodeInto(pixels: Uint8Array, { paths, stale, length, options, notes }: Job): Promise<Set<number>> {
  const { channels, size, fit, background, onError } = options;
  const wanted = stale.map((i) => paths[i] as string);
  const bad = new Set<number>();
  let next = 0;
  const skip =
    onError &&
    ((error: BatchCamError, path: string) => {
      bad.add(stale[next++] as number);
      onError(error, path);
    });
  const concurrency = Math.min(64, availableParallelism() + 2);
  const reading = {
    ...{ channels, size, fit, concurrency, batchSize: 1 },
    ...(background ? { background } : {}),
    ...(skip ? { onError: skip } : {}),
  };
  for await (const [image] of readImages(wanted, reading)) {
    options.signal?.throwIfAborted();
    const [own, place] = [image as ImageFile, stale[next++] as number];
    pixels.set(own.pixels, place * length);
    notes[place] = own.notes;
  }
  return bad;
}

/** Copies some rows of `length` bytes each into one array. */
export function pack(pixels: Uint8Array, rows: ArrayLike<number>, length: number): Uint8Array {
  const packed = new Uint8Array(rows.length * length);
  for (const [to, from] of Array.from(rows).entries())
    packed.set(pixels.subarray(from * length, (from + 1) * length), to * length);
  return packed;
}
