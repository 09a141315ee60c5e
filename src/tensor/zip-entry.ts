import { pipeline, Readable } from "node:stream";
import { createInflateRaw } from "node:zlib";
import { crc32 } from "../checksum.ts";
import { counted } from "../counted.ts";
import { quote } from "./safetensors-json.ts";
import { readFully, type TensorFile } from "./tensor-file.ts";
import type { ZipEntry } from "./zip-directory.ts";

const PIECE_BYTES = 2 ** 18;

/**
 * Yields the unpacked data of a zip entry in pieces of at most 256 KiB; memory does not grow with the entry. A reader that stops early
 * pays only for what it has read, and skips the check of the CRC-32, which is done after the last piece.
 *
 * @throws E_DATA for an entry that is encrypted, compressed by another method than deflate, damaged, of another size than the
 *   directory says, or of another CRC-32
 */
export async function* unpackEntry(file: TensorFile, entry: ZipEntry): AsyncGenerator<Uint8Array, void, undefined> {
  const what = `entry ${quote(entry.name)}`;
  if (entry.method === "other") file.fail(`${what} is encrypted, or compressed by another method than deflate`);
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
  if (sum !== entry.crc) file.fail(`${what} is damaged: its checksum (CRC-32) is not the one in the directory`);
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
  // The callback is needed: without one, an error of the source would be thrown outside of this generator.
  pipeline(Readable.from(storedPieces(file, entry)), inflate, () => {});
  try {
    for await (const piece of inflate) yield piece as Uint8Array;
  } catch (cause) {
    if (!String((cause as { code?: unknown }).code).startsWith("Z_")) throw cause;
    file.fail(`entry ${quote(entry.name)} is damaged (${(cause as Error).message})`);
  }
}
