/** An entry of a zip archive that `zipOf` writes. Values that are not given are those that torch writes. */
export interface ZipPart {
  name: string;
  data: Uint8Array;
  /** 0 for stored, 8 for deflated. */
  method?: number;
  /** The size in the central directory, whether it is true or not. */
  size?: number;
  offset?: number;
}

/** A zip archive without checksums. It is as valid as its parts. */
export function zipOf(parts: readonly ZipPart[]): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let position = 0;
  for (const { name, data, method = 0, size = data.length, offset = position } of parts) {
    const path = Buffer.from(name);
    const local = Buffer.concat([
      fields(0x04034b50, [20, 0x800, method, 0, 0]),
      sizes(data.length, path, 0),
      path,
      data,
    ]);
    const head = [fields(0x02014b50, [20, 20, 0x800, method, 0, 0]), sizes(size, path, 14), path];
    const central = Buffer.concat(head);
    central.writeUInt32LE(offset, 42);
    locals.push(local);
    directory.push(central);
    position += local.length;
  }
  const end = fields(0x06054b50, [0, 0, parts.length, parts.length, 0, 0, 0, 0, 0]);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(position, 16);
  return Buffer.concat([...locals, ...directory, end]);
}

function fields(signature: number, shorts: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 + 2 * shorts.length);
  bytes.writeUInt32LE(signature);
  shorts.forEach((value, i) => {
    bytes.writeUInt16LE(value, 4 + 2 * i);
  });
  return bytes;
}

/** The checksum, both sizes, the length of the name, and `rest` bytes for the remaining header. */
function sizes(size: number, path: Buffer, rest: number): Buffer {
  const bytes = Buffer.alloc(16 + rest);
  bytes.writeUInt32LE(size, 4);
  bytes.writeUInt32LE(size, 8);
  bytes.writeUInt16LE(path.length, 12);
  return bytes;
}

/** A torch.save file with this pickle and these storages. */
export function torchArchive(pickle: Uint8Array, storages: Record<string, Uint8Array> = {}): Buffer {
  const data = Object.entries(storages).map(([key, bytes]) => ({ name: `archive/data/${key}`, data: bytes }));
  return zipOf([{ name: "archive/data.pkl", data: pickle }, ...data]);
}

/** The bytes of a pickle: text as it is, numbers as single bytes. */
export function bytesOf(...parts: readonly (string | number | Uint8Array)[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === "number") return Buffer.of(part);
      return typeof part === "string" ? Buffer.from(part, "latin1") : part;
    }),
  );
}

const PROTOCOL_2 = bytesOf(0x80, 2);

export function pickle(...parts: readonly (string | number | Uint8Array)[]): Buffer {
  return bytesOf(PROTOCOL_2, ...parts, ".");
}

/** BINUNICODE */
export function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return bytesOf("X", length, bytes);
}

/** A number as LONG1 of eight bytes. */
export function long(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return bytesOf(0x8a, 8, bytes);
}

export function tuple(items: readonly Uint8Array[]): Buffer {
  return bytesOf("(", ...items, "t");
}

export interface PickledTensor {
  type?: string;
  key?: string;
  /** The number of elements that the pickle claims for the storage. */
  elements?: number | bigint;
  offset?: number | bigint;
  shape?: readonly (number | bigint)[];
  strides?: readonly (number | bigint)[];
}

/** A tensor in torch.save's format: by default the two float32 values of storage "0". */
export function pickledTensor({
  type = "FloatStorage",
  key = "0",
  elements = 2,
  offset = 0,
  shape = [2],
  strides = [1],
}: PickledTensor = {}): Buffer {
  const id = [text("storage"), bytesOf(`ctorch\n${type}\n`), text(key), text("cpu"), long(elements)];
  const storage = bytesOf(tuple(id), "Q");
  const layout = [long(offset), tuple(shape.map(long)), tuple(strides.map(long))];
  const args = tuple([storage, ...layout, bytesOf(0x89), bytesOf("ccollections\nOrderedDict\n)R")]);
  return bytesOf("ctorch._utils\n_rebuild_tensor_v2\n", args, "R");
}
