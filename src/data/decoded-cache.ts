import { createHash } from "node:crypto";
import { open, stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { replaceFile, writeFileAtomically } from "../atomic-file.ts";
import { BatchCamError } from "../errors.ts";
import { readRegularText } from "../regular-file.ts";
import { cacheFolder } from "./cache.ts";
import type { ImageFit } from "./image-file.ts";
import { readImages } from "./image-folder.ts";
import type { Background } from "./image-pixels.ts";

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
}

/** What a file was when it was decoded: a change of either makes its row stale. */
interface Row {
  path: string;
  bytes: number;
  changed: number;
}

interface Index {
  version: 1;
  /** Of the pixels beside it. */
  sum: string;
  rows: Row[];
}

/**
 * Decodes files to bytes of one size. They are kept in the cache folder beside what each file was, so that the next time only
 * files that are new or have changed (in size or time of change) are read. A cache that is damaged, or that cannot be
 * written, costs time and nothing else.
 */
export async function decodeImages(paths: readonly string[], options: DecodeOptions): Promise<Decoded> {
  const rows = await Promise.all(paths.map(describe));
  const cache = cacheOf(options);
  const length = options.channels * options.size[0] * options.size[1];
  const known = await readCache(cache, length);
  const pixels = new Uint8Array(rows.length * length);
  const stale: number[] = [];
  for (const [i, row] of rows.entries()) {
    const at = row === null ? undefined : known?.places.get(keyOf(row));
    if (at === undefined) stale.push(i);
    else pixels.set((known as Cached).pixels.subarray(at * length, (at + 1) * length), i * length);
  }
  if (stale.length === 0) return { pixels, kept: Int32Array.from(rows.keys()) };
  const bad = await decodeInto(pixels, { paths, stale, length, options });
  const kept = Int32Array.from(rows.keys()).filter((i) => !bad.has(i));
  const packed = bad.size === 0 ? pixels : pack(pixels, kept, length);
  await writeCache(cache, { pixels: packed, rows: Array.from(kept, (i) => rows[i] ?? null) });
  return { pixels: packed, kept };
}

const keyOf = ({ path, bytes, changed }: Row): string => `${path}\0${bytes}\0${changed}`;

async function describe(path: string): Promise<Row | null> {
  try {
    const { size, mtimeMs } = await stat(path);
    return { path: resolve(path), bytes: size, changed: mtimeMs };
  } catch {
    return null; // reading it says why
  }
}

function cacheOf({ source, channels, size, fit }: DecodeOptions): string {
  const key = createHash("sha256")
    .update(JSON.stringify([resolve(source), channels, size, fit]))
    .digest("hex");
  return join(cacheFolder(), "decoded", key.slice(0, 24));
}

interface Cached {
  pixels: Uint8Array;
  places: Map<string, number>;
}

async function readCache(cache: string, length: number): Promise<Cached | null> {
  try {
    const index = JSON.parse(await readRegularText(`${cache}.json`)) as Index;
    if (index.version !== 1) return null;
    const pixels = await readPixels(`${cache}.bin`, index.rows.length * length);
    if (pixels === null || sumOf(pixels) !== index.sum) return null;
    return { pixels, places: new Map(index.rows.map((row, i) => [keyOf(row), i])) };
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
  { pixels, rows }: { pixels: Uint8Array; rows: (Row | null)[] },
): Promise<void> {
  if (rows.includes(null)) return;
  const sum = sumOf(pixels);
  try {
    await replaceFile(`${cache}.bin`, async (file) => void (await file.writeFile(pixels)));
    await writeFileAtomically(`${cache}.json`, JSON.stringify({ version: 1, sum, rows }));
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
}

/** Fills the rows at `stale`; the places of files that could not be read. */
async function decodeInto(pixels: Uint8Array, { paths, stale, length, options }: Job): Promise<Set<number>> {
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
    pixels.set((image as { pixels: Uint8Array }).pixels, (stale[next++] as number) * length);
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
