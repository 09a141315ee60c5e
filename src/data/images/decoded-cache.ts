import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { replaceFile, writeFileAtomically } from "../../atomic-file.ts";
import { BatchCamError } from "../../errors.ts";
import { readRegularText } from "../../regular-file.ts";
import { readImages } from "../sources/image-folder.ts";
import { cacheFolder, type HashedFile, hashFiles, isUnchanged } from "./file-hashes.ts";
import { DECODER_VERSION, type ImageFile } from "./image-file.ts";
import type { Background } from "./pixels.ts";
import type { ImageFit } from "./resize.ts";

export interface DecodeOptions {
  /** Folder or file that names the images: each has a cache of its own for every way to decode. */
  source: string;
  channels: 1 | 3;
  /** Height and width. */
  size: readonly [number, number];
  fit: ImageFit;
  /** What transparent pixels and margins show; white without it. */
  background?: Background;
  /** Aborting it rejects with its reason, between two files. */
  signal?: AbortSignal;
  /** Takes the error of a file that cannot be read, which is then left out; without it the first one ends the reading. */
  onError?: (error: BatchCamError, path: string) => void;
}

/** Decoded images, in the order of the paths that could be read. */
export interface Decoded {
  /** (N, C, H, W) */
  pixels: Uint8Array;
  /** Places among the paths of the images that are there. */
  kept: Int32Array;
  /** What reading changed in each image that could be read: "16 bits scaled to 8". */
  notes: readonly (readonly string[])[];
}

interface Index {
  version: 3;
  /** Of the pixels beside it. */
  sum: string;
  /** Of the file that each row of pixels was decoded from. */
  hashes: string[];
  /** Of each row; empty rows at the end are left out. */
  notes: (readonly string[])[];
}

/**
 * Decodes files to bytes of one size. The pixels are kept in the cache folder under the hash of the bytes that they were decoded from,
 * so that the next time only contents that are new are decoded; `hashFiles` tells which files have to be read for that. A cache that
 * is damaged, or that cannot be written, costs time and nothing else.
 *
 * @throws E_DATA for a file that cannot be read, unless `onError` takes it, and for one that changes while it is being read
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

/** Fails where a file was not the same when it was hashed and when it was decoded. */
async function expectUnchanged({ paths, files, stale, bad }: Read): Promise<void> {
  for (const i of stale) {
    const [path, file] = [paths[i] as string, files[i] ?? null];
    if (bad.has(i) || (file !== null && (await isUnchanged(path, file)))) continue;
    throw new BatchCamError(
      "E_DATA",
      `loadDataset: ${path}: the file changed while it was being read; give the command again once nothing writes to it`,
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
  /** Row of pixels by the hash of the file. */
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
    return null; // there is none, or it was cut off
  }
}

/** Piece by piece: Node reads and hashes less than 2 GiB at once. Null where the file is of another size. */
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

/** Of the two files, the index is written last and names the other's content: a kill between them leaves no wrong pair. */
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
    if (!(error instanceof BatchCamError)) throw error; // a full disk is no reason to stop
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
  /** Takes what reading changed, by the place of the path. */
  notes: (readonly string[])[];
}

/** Fills the rows at `stale`; the places of files that could not be read. */
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

/** Copies of some rows, `length` bytes each, one after the other. */
export function pack(pixels: Uint8Array, rows: ArrayLike<number>, length: number): Uint8Array {
  const packed = new Uint8Array(rows.length * length);
  for (const [to, from] of Array.from(rows).entries())
    packed.set(pixels.subarray(from * length, (from + 1) * length), to * length);
  return packed;
}
