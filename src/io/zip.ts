import { pipeline, Readable } from "node:stream";
import { createInflateRaw } from "node:zlib";
import { crc32 } from "../checksum.ts";
import { counted } from "../counted.ts";
import { quote } from "./safetensors-json.ts";
import { readFully, type TensorFile } from "./tensor-file.ts";

export interface ZipEntry {
  readonly name: string;
  /** Byte offset of the entry's local header. */
  readonly start: number;
  /** Byte offset of the entry's data. */
  readonly position: number;
  /** Size of the data as stored in the file, compressed or not. */
  readonly bytes: number;
  /** Size of the data after decompression, according to the directory. */
  readonly unpackedBytes: number;
  /** CRC-32 of the data after decompression, according to the directory. */
  readonly crc: number;
  /** How the data is stored. "other" means encryption or an unsupported compression method. */
  readonly method: "stored" | "deflated" | "other";
}

/** The directory's record of an entry, before anything is checked. */
interface DirectoryEntry {
  name: string;
  flags: number;
  method: number;
  crc: number;
  compressed: number;
  bytes: number;
  start: number;
}

const END_BYTES = 22;
const LONGEST_COMMENT = 0xffff;
const ENTRY_BYTES = 46;
const LOCAL_BYTES = 30;
const ENCRYPTED = 1;
const STORED = 0;
const DEFLATED = 8;
const ZIP64_EXTRA = 1;

/**
 * Limit on the size of the directory, about that of a model of 100,000 storages. It bounds the memory that a hostile
 * file can make the reader allocate.
 */
const MAX_DIRECTORY_BYTES = 16 * 2 ** 20;

/**
 * Lists the entries of a zip archive, including Zip64, in the order of their data. Entries that overlap are refused, so
 * that together they cannot be larger than the file. Only the directory and the local headers are read; `unpackEntry`
 * reads the data.
 *
 * No library is used: a damaged Zip64 offset above 2^53 makes yauzl 3.4.0 throw inside one of its own callbacks, which
 * ends the process.
 *
 * Source: PKWARE's APPNOTE.TXT 6.3.10, 4.3.7 (local header), 4.3.12 to 4.3.16 (directory and its end), 4.5.3 (Zip64).
 */
export async function readZipDirectory(file: TensorFile): Promise<ZipEntry[]> {
  const { count, bytes, start } = await readEnd(file);
  if (bytes > MAX_DIRECTORY_BYTES) damaged(file, `a directory of at most ${MAX_DIRECTORY_BYTES} bytes`, bytes);
  if (start + bytes > file.size)
    damaged(file, `a directory within its ${counted(file.size, "byte")}`, `one to ${start + bytes}`);
  const directory = parseDirectory(await readAt(file, start, bytes), file);
  if (directory.length !== count) damaged(file, `${counted(count, "entry")}`, directory.length);
  const entries: ZipEntry[] = [];
  for (const entry of directory.toSorted((a, b) => a.start - b.start)) {
    entries.push(await locate(entry, { file, earliest: endOf(entries.at(-1)), latest: start }));
  }
  return entries;
}

async function readEnd(file: TensorFile): Promise<{ count: number; bytes: number; start: number }> {
  const tail = await readAt(file, Math.max(0, file.size - END_BYTES - LONGEST_COMMENT));
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== 0x06054b50 || at + END_BYTES + tail.readUInt16LE(at + 20) !== tail.length) continue;
    const count = tail.readUInt16LE(at + 10);
    const [bytes, start] = [tail.readUInt32LE(at + 12), tail.readUInt32LE(at + 16)];
    const isZip64 = at >= 20 && tail.readUInt32LE(at - 20) === 0x07064b50;
    return isZip64 ? readZip64End(file, u64(tail, at - 12)) : { count, bytes, start };
  }
  return damaged(file, "the end of its directory", "none");
}

async function readZip64End(
  file: TensorFile,
  position: number,
): Promise<{ count: number; bytes: number; start: number }> {
  if (position + 56 > file.size) damaged(file, "the Zip64 end of its directory", `a reference to ${position}`);
  const end = await readAt(file, position, 56);
  if (end.readUInt32LE(0) !== 0x06064b50) damaged(file, "the Zip64 end of its directory", "something else");
  return { count: u64(end, 32), bytes: u64(end, 40), start: u64(end, 48) };
}

function parseDirectory(directory: Buffer, file: TensorFile): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  for (let at = 0; at < directory.length; ) {
    const isEntry = at + ENTRY_BYTES <= directory.length && directory.readUInt32LE(at) === 0x02014b50;
    if (!isEntry) damaged(file, "a directory of entries", `something else at its byte ${at}`);
    const extraAt = at + ENTRY_BYTES + directory.readUInt16LE(at + 28);
    const commentAt = extraAt + directory.readUInt16LE(at + 30);
    const next = commentAt + directory.readUInt16LE(at + 32);
    if (next > directory.length) damaged(file, "a directory of whole entries", `one cut at its byte ${at}`);
    const entry = {
      name: directory.toString("utf8", at + ENTRY_BYTES, extraAt),
      flags: directory.readUInt16LE(at + 8),
      method: directory.readUInt16LE(at + 10),
      crc: directory.readUInt32LE(at + 16),
      compressed: directory.readUInt32LE(at + 20),
      bytes: directory.readUInt32LE(at + 24),
      start: directory.readUInt32LE(at + 42),
    };
    applyZip64(entry, directory.subarray(extraAt, commentAt), file);
    entries.push(entry);
    at = next;
  }
  return entries;
}

/**
 * Replaces 32-bit fields by their Zip64 values. Zip64 stores a number that needs 64 bits in an extra field, and sets
 * all bits of the original field.
 */
function applyZip64(entry: DirectoryEntry, extra: Buffer, file: TensorFile): void {
  const wide = zip64Field(extra);
  let at = 0;
  for (const name of ["bytes", "compressed", "start"] as const) {
    if (entry[name] !== 0xffffffff) continue;
    if (at + 8 > wide.length) damaged(file, `64-bit numbers for entry ${quote(entry.name)}`, "none");
    entry[name] = u64(wide, at);
    at += 8;
  }
}

function zip64Field(extra: Buffer): Buffer {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    const data = at + 4;
    if (extra.readUInt16LE(at) === ZIP64_EXTRA) return extra.subarray(data, data + extra.readUInt16LE(at + 2));
  }
  return Buffer.alloc(0);
}

/**
 * Locates the data of an entry, which must be between the preceding entry and the directory. If entries could share
 * bytes, a small file could unpack to a very large one.
 */
async function locate(
  { name, flags, method, crc, compressed, bytes, start }: DirectoryEntry,
  { file, earliest, latest }: { file: TensorFile; earliest: number; latest: number },
): Promise<ZipEntry> {
  const what = `entry ${quote(name)}`;
  if (start < earliest) file.fail(`${what} overlaps the one before: expected it at ${earliest} or later, got ${start}`);
  if (start + LOCAL_BYTES > latest) file.fail(`${what}: expected it before the directory at ${latest}, got ${start}`);
  const local = await readAt(file, start, LOCAL_BYTES);
  if (local.readUInt32LE(0) !== 0x04034b50) file.fail(`${what}: expected its header at ${start}, got something else`);
  const position = start + LOCAL_BYTES + local.readUInt16LE(26) + local.readUInt16LE(28);
  if (position + compressed > latest) {
    file.fail(`${what}: expected ${counted(compressed, "byte")} at ${position}, got the directory at ${latest}`);
  }
  const stored = method === STORED && compressed === bytes;
  const known = stored ? "stored" : method === DEFLATED ? "deflated" : "other";
  const kept = (flags & ENCRYPTED) === 0 ? known : "other";
  return { name, start, position, bytes: compressed, unpackedBytes: bytes, crc, method: kept };
}

function endOf(entry: ZipEntry | undefined): number {
  return entry === undefined ? 0 : entry.position + entry.bytes;
}

/** A 64-bit number. Above 2^53 it is rounded, which does not matter because it exceeds any file. */
function u64(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}

async function readAt(file: TensorFile, position: number, length = file.size - position): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  await readFully(file, bytes, position);
  return bytes;
}

function damaged(file: TensorFile, expected: string, got: string | number): never {
  return file.fail(`expected a zip archive with ${expected}, got ${got}`);
}

const PIECE_BYTES = 2 ** 18;

/**
 * Yields the unpacked data of a zip entry in chunks of at most 256 KiB, so that memory does not grow with the entry.
 * The CRC-32 is checked after the last chunk, so a caller that stops early skips the check. A CRC-32 of 0 counts as not
 * recorded, because some programs write zip archives without checksums.
 *
 * @throws E_DATA for an entry that is encrypted, compressed by a method other than deflate, damaged, or whose size or
 *   CRC-32 differs from the directory
 */
export async function* unpackEntry(file: TensorFile, entry: ZipEntry): AsyncGenerator<Uint8Array, void, undefined> {
  const what = `entry ${quote(entry.name)}`;
  if (entry.method === "other") file.fail(`${what} is encrypted, or compressed by a method other than deflate`);
  const pieces = entry.method === "stored" ? storedPieces(file, entry) : inflatedPieces(file, entry);
  let [filled, sum] = [0, 0];
  for await (const piece of pieces) {
    filled += piece.length;
    if (filled > entry.unpackedBytes)
      file.fail(
        `${what} is damaged: it holds more than the ${counted(entry.unpackedBytes, "byte")} that the directory says`,
      );
    sum = crc32(piece, sum);
    yield piece;
  }
  if (filled < entry.unpackedBytes)
    file.fail(`${what} is damaged: it holds ${counted(filled, "byte")}, and the directory says ${entry.unpackedBytes}`);
  if (entry.crc !== 0 && sum !== entry.crc)
    file.fail(`${what} is damaged: its checksum (CRC-32) is not the one in the directory`);
}

async function* storedPieces(file: TensorFile, { position, bytes }: ZipEntry): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes; offset += PIECE_BYTES) {
    const piece = new Uint8Array(Math.min(PIECE_BYTES, bytes - offset));
    await readFully(file, piece, position + offset);
    yield piece;
  }
}

async function* inflatedPieces(file: TensorFile, entry: ZipEntry): AsyncGenerator<Uint8Array> {
  const inflate = createInflateRaw({ chunkSize: PIECE_BYTES });
  // The callback is required: without it, an error of the source would be thrown outside this generator.
  pipeline(Readable.from(storedPieces(file, entry)), inflate, () => {});
  try {
    for await (const piece of inflate) yield piece as Uint8Array;
  } catch (cause) {
    if (!String((cause as { code?: unknown }).code).startsWith("Z_")) throw cause;
    file.fail(`entry ${quote(entry.name)} is damaged (${(cause as Error).message})`);
  }
}
