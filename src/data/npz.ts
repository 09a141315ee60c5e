import { stat } from "node:fs/promises";
import yauzl, { type Entry, type ZipFile } from "yauzl";
import { crc32 } from "../checksum.ts";
import { dataError, type ReadContext } from "./file-bytes.ts";

/** An array of a .npz file: unsigned bytes, or whole numbers read as such. */
export interface NpyArray {
  readonly shape: readonly number[];
  readonly values: Uint8Array | Float64Array;
}

const CONTEXT: ReadContext = {
  operation: "loadDataset: npz",
  remedy: "give a MedMNIST file: train_images, train_labels, and val_ and test_ as well, of unsigned bytes",
};
/** What one array may hold, unpacked. A megabyte of zip can say that it is a thousand of zeros. */
const MAX_BYTES = 2 ** 32;
/** MedMNIST's own files pack photographs to a half, and its emptiest masks to a hundredth. */
const MAX_RATIO = 1000;

/**
 * The arrays of a .npz file, by name, those alone whose names are asked for.
 *
 * @throws E_DATA for a file that is no zip, damaged, cut short, of unknown dtype, or that unpacks to more than 4 GiB or a thousand
 *   times its size
 */
export async function readNpz(path: string, names: readonly string[]): Promise<Map<string, NpyArray>> {
  const found = new Map<string, NpyArray>();
  try {
    const { size } = await stat(path);
    const zip = await yauzl.openPromise(path, { strictFileNames: true });
    try {
      for await (const entry of zip.eachEntry()) {
        const name = entry.fileName.replace(/\.npy$/, "");
        if (!names.includes(name)) continue;
        if (found.has(name)) throw dataError(path, `holds ${name} twice`, CONTEXT);
        found.set(name, parseNpy(path, name, await unpack(zip, entry, { path, name, size })));
      }
    } finally {
      zip.close();
    }
  } catch (cause) {
    if ((cause as { code?: string }).code === "E_DATA") throw cause;
    throw dataError(path, `cannot be read as .npz (${(cause as Error).message})`, CONTEXT, cause);
  }
  return found;
}

interface Where {
  path: string;
  name: string;
  /** Of the whole file. */
  size: number;
}

async function unpack(zip: ZipFile, entry: Entry, { path, name, size }: Where): Promise<Uint8Array> {
  const { uncompressedSize: length } = entry;
  if (length > MAX_BYTES || length > MAX_RATIO * size)
    throw dataError(
      path,
      `${name} would unpack to ${length.toLocaleString("en")} bytes, more than is believed`,
      CONTEXT,
    );
  const bytes = new Uint8Array(length);
  let filled = 0;
  // The stream itself fails where an entry holds more than it said.
  for await (const chunk of await zip.openReadStreamPromise(entry)) {
    bytes.set(chunk as Uint8Array, filled);
    filled += (chunk as Uint8Array).length;
  }
  if (filled < length) throw dataError(path, `${name} is cut short`, CONTEXT);
  if (crc32(bytes) !== entry.crc32) throw dataError(path, `${name} is damaged (its checksum is another)`, CONTEXT);
  return bytes;
}

/** NumPy's format, version 1 to 3: a line of Python that says dtype, order and shape, then the numbers. */
function parseNpy(path: string, name: string, bytes: Uint8Array): NpyArray {
  const fault = (problem: string) => dataError(path, `${name} ${problem}`, CONTEXT);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || Buffer.from(bytes.subarray(1, 6)).toString("latin1") !== "NUMPY")
    throw fault("is no array of NumPy's");
  const [start, length] = bytes[6] === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  const header = Buffer.from(bytes.subarray(start, start + length)).toString("latin1");
  const dtype = header.match(/'descr':\s*'([^']+)'/)?.[1];
  const dims = header.match(/'shape':\s*\(([^)]*)\)/)?.[1];
  if (dtype === undefined || dims === undefined) throw fault("has a header that says no dtype and shape");
  if (/'fortran_order':\s*True/.test(header))
    throw fault("lies in Fortran order; save it with numpy.ascontiguousarray");
  const shape = dims.split(",").flatMap((part) => (part.trim() === "" ? [] : [Number(part)]));
  const count = shape.reduce((product, n) => product * n, 1);
  const read = READERS[dtype];
  if (read === undefined) throw fault(`is of dtype ${dtype}; it must be of whole numbers`);
  const body = bytes.subarray(start + length);
  if (!shape.every((n) => Number.isSafeInteger(n) && n >= 0) || body.length !== count * read.width)
    throw fault(`says that it is [${shape.join(", ")}], but holds ${body.length.toLocaleString("en")} bytes`);
  return { shape, values: read.of(new DataView(body.buffer, body.byteOffset, body.byteLength), count, body) };
}

interface Reader {
  width: number;
  of: (view: DataView, count: number, body: Uint8Array) => Uint8Array | Float64Array;
}

const numbers = (width: number, at: (view: DataView, offset: number) => number): Reader => ({
  width,
  of: (view, count) => Float64Array.from({ length: count }, (_, i) => at(view, i * width)),
});

const READERS: Readonly<Record<string, Reader>> = {
  "|u1": { width: 1, of: (_, __, body) => body },
  "|i1": numbers(1, (view, at) => view.getInt8(at)),
  "<u2": numbers(2, (view, at) => view.getUint16(at, true)),
  "<i2": numbers(2, (view, at) => view.getInt16(at, true)),
  "<i4": numbers(4, (view, at) => view.getInt32(at, true)),
  "<u4": numbers(4, (view, at) => view.getUint32(at, true)),
  "<i8": numbers(8, (view, at) => Number(view.getBigInt64(at, true))),
};
