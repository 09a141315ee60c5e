import { counted, grouped } from "../counted.ts";
import { BatchCamError } from "../errors.ts";
import { statOf } from "../regular-file.ts";
import { dataError, type ReadContext } from "./file-bytes.ts";
import { MOST_HEADER_BYTES, type NpyHeader, type NpyValues, parseNpyHeader, valuesOf } from "./npy.ts";
import { reading, type TensorFile } from "./tensor-file.ts";
import { readZipDirectory, unpackEntry, type ZipEntry } from "./zip.ts";

/** An array of an .npz file. Its header has been read; `read` reads its values. */
export interface NpzArray extends NpyHeader {
  read(): Promise<NpyValues>;
}

const CONTEXT: ReadContext = {
  operation: "loadDataset: npz",
  remedy: "write it again with numpy.savez or numpy.savez_compressed",
};
/** Limit on the size of an unpacked array. */
const MAX_BYTES = 2 ** 32;
/**
 * Limit on the size of an array relative to its file, against archives that unpack to fill the memory. Real files are
 * far below it: MedMNIST compresses photographs to a half and its emptiest masks to a hundredth.
 */
const MAX_RATIO = 1000;

/**
 * Opens an .npz file, a zip archive of arrays as numpy.savez and numpy.savez_compressed write it, and calls `use` with
 * those of the named arrays that exist. At first only the headers are read, so that `use` can check the sizes against
 * each other before memory is allocated for the values.
 *
 * @throws E_DATA for a file that is missing, damaged or not a zip archive, and for an array of an unknown dtype, of a
 *   size other than its header says, or that unpacks to more than 4 GiB or a thousand times the size of the file
 */
export async function readNpz<T>(
  path: string,
  names: readonly string[],
  use: (arrays: ReadonlyMap<string, NpzArray>) => Promise<T>,
): Promise<T> {
  try {
    return await reading({ ...CONTEXT, path }, async (file) => use(await arraysOf(file, names, path)));
  } catch (error) {
    if (error instanceof BatchCamError && statOf(path)?.isDirectory())
      throw dataError(path, "expected an .npz file, got a folder", { ...CONTEXT, remedy: "name a file in it" }, error);
    if (!(error instanceof BatchCamError && error.code === "E_IO")) throw error;
    const { message } = error.cause as Error;
    throw dataError(path, `cannot be read (${message})`, { ...CONTEXT, remedy: "give an .npz file" }, error);
  }
}

async function arraysOf(file: TensorFile, names: readonly string[], path: string): Promise<Map<string, NpzArray>> {
  const found = new Map<string, NpzArray>();
  for (const entry of await readZipDirectory(file)) {
    const name = entry.name.replace(/\.npy$/, "");
    if (!names.includes(name)) continue;
    const fault = (problem: string) => dataError(path, `${name} ${problem}`, CONTEXT);
    if (found.has(name)) throw fault("occurs twice");
    const header = parseNpyHeader(await prefixOf(file, entry), fault);
    expectBelievable(header, entry, { file, fault });
    found.set(name, { ...header, read: async () => readValues(header, file, entry) });
  }
  return found;
}

function expectBelievable(
  { shape, count, dtype, start }: NpyHeader,
  { unpackedBytes, bytes }: ZipEntry,
  { file, fault }: { file: TensorFile; fault: (problem: string) => Error },
): void {
  const own = count * dtype.width;
  const held = unpackedBytes - start;
  if (own !== held)
    throw fault(`says that it is [${shape.join(", ")}] of ${dtype.name}, but holds ${counted(held, "byte", grouped)}`);
  if (own <= MAX_BYTES && own <= MAX_RATIO * file.size) return;
  const size = bytes.toLocaleString("en");
  throw fault(
    `would unpack from ${size} to ${counted(own, "byte", grouped)}; at most 4 GiB and ${MAX_RATIO} times the file are read`,
  );
}

async function prefixOf(file: TensorFile, entry: ZipEntry): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of unpackEntry(file, entry)) {
    pieces.push(piece);
    length += piece.length;
    if (length >= MOST_HEADER_BYTES) break;
  }
  return Buffer.concat(pieces, Math.min(length, MOST_HEADER_BYTES));
}

async function readValues(header: NpyHeader, file: TensorFile, entry: ZipEntry): Promise<NpyValues> {
  const bytes = new Uint8Array(header.count * header.dtype.width);
  let position = -header.start; // offset of the next piece relative to the first value
  for await (const piece of unpackEntry(file, entry)) {
    bytes.set(piece.subarray(Math.max(0, -position)), Math.max(0, position));
    position += piece.length;
  }
  return valuesOf(header.dtype, bytes);
}
