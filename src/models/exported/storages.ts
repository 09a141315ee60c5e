import { counted } from "../../counted.ts";
import { stridedExtent, type TensorFile, unpackEntry, writeBytes, type ZipEntry } from "../../io/internal.ts";
import { type DType, empty, noGrad, Tensor, zeros } from "../../tensor/index.ts";
import { asStrided, DTYPES } from "../../tensor/internal.ts";

/** The bytes that one or several tensors are views of. */
export interface Storage {
  /** In messages: `entry "weight_3"`. */
  readonly what: string;
  readonly bytes: number;
  /** Yields the bytes in pieces. */
  read(): AsyncIterable<Uint8Array>;
}

/** A tensor of a file: a strided view of a storage, not read yet. Sizes and strides are not checked yet. */
export interface StoredTensor {
  readonly storage: Storage;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  /** Elements before the first one. */
  readonly offset: number;
  readonly isParameter: boolean;
  readonly requiresGrad: boolean;
}

/** A storage that is an entry of the archive. */
export function entryStorage(file: TensorFile, entry: ZipEntry): Storage {
  return {
    what: `entry ${JSON.stringify(entry.name)}`,
    bytes: entry.unpackedBytes,
    read: () => unpackEntry(file, entry),
  };
}

/**
 * Limit on the memory of tensors. It may be more than the file has, because entries can be compressed, views can repeat
 * elements, and zeros are not stored, but not without bound.
 */
const MOST_BYTES = (fileBytes: number) => 64 * 2 ** 20 + 16 * fileBytes;

/**
 * Reads tensors. Names that are views of one storage share its memory, and equal views are the same Tensor. Everything is
 * checked before memory is allocated.
 */
export async function readStored(
  described: ReadonlyMap<string, StoredTensor>,
  { size, fail }: TensorFile,
): Promise<Map<string, Tensor>> {
  let bytes = 0;
  const seen = new Set<Storage>();
  for (const [name, tensor] of described) {
    bytes += checkedBytes(tensor, (problem) => fail(`the tensor ${JSON.stringify(name.slice(0, 80))} ${problem}`));
    if (!seen.has(tensor.storage)) bytes += tensor.storage.bytes;
    seen.add(tensor.storage);
  }
  if (bytes > MOST_BYTES(size))
    fail(`expected tensors of at most ${MOST_BYTES(size)} bytes in a file of ${size}, got ${bytes}`);
  const reader = new StorageReader(fail);
  const tensors = new Map<string, Tensor>();
  try {
    for (const [name, tensor] of described) tensors.set(name, await reader.tensor(tensor));
    return tensors;
  } catch (error) {
    for (const tensor of tensors.values()) tensor.dispose();
    throw error;
  } finally {
    reader.dispose();
  }
}

/** The bytes of a tensor's elements, after its sizes have been compared with its storage. */
function checkedBytes(
  { storage, dtype, shape, strides, offset }: StoredTensor,
  fail: (problem: string) => never,
): number {
  if (shape.length !== strides.length) fail(`has ${shape.length} sizes and ${counted(strides.length, "stride")}`);
  if (![...shape, ...strides, offset].every((value) => Number.isSafeInteger(value) && value >= 0))
    fail(`has a size, stride or offset that is not an integer >= 0 ([${shape}], strides [${strides}])`);
  const { bytes } = DTYPES[dtype];
  const used = stridedExtent(shape, strides, bytes);
  if (used === null || !Number.isSafeInteger((offset + used.extent) * bytes))
    return fail(`is too large for any memory ([${shape}], strides [${strides}])`);
  const { numel, extent } = used;
  const needed = (offset + extent) * bytes;
  if (numel > 0 && storage.bytes > 0 && needed > storage.bytes)
    fail(`needs ${counted(needed, "byte")}, and ${storage.what} has ${storage.bytes}`);
  if (storage.bytes % bytes !== 0) fail(`is ${dtype}, and ${storage.what} has ${counted(storage.bytes, "byte")}`);
  return numel * bytes;
}

class StorageReader {
  /** The flat tensor of each storage that has been read. */
  private readonly flat = new Map<Storage, Tensor>();
  private readonly views = new Map<Storage, Map<string, Tensor>>();
  private readonly fail: (problem: string) => never;

  constructor(fail: (problem: string) => never) {
    this.fail = fail;
  }

  async tensor(stored: StoredTensor): Promise<Tensor> {
    const { storage, dtype, shape, strides, offset } = stored;
    const views = this.views.get(storage) ?? new Map<string, Tensor>();
    this.views.set(storage, views);
    const key = `${dtype} [${shape}] [${strides}] ${offset}`;
    const known = views.get(key);
    if (known !== undefined) return known;
    const made = storage.bytes === 0 ? zeros(shape, { dtype }) : await this.view(stored);
    views.set(key, made);
    return made;
  }

  private async view({ storage, dtype, shape, strides, offset }: StoredTensor): Promise<Tensor> {
    const flat = this.flat.get(storage) ?? (await this.read(storage, dtype));
    if (flat.dtype !== dtype)
      this.fail(`${storage.what} is used as ${flat.dtype} and as ${dtype}, which is not supported`);
    return noGrad(() => new Tensor(asStrided(flat, shape, strides, offset)));
  }

  private async read(storage: Storage, dtype: DType): Promise<Tensor> {
    const flat = empty([storage.bytes / DTYPES[dtype].bytes], { dtype });
    this.flat.set(storage, flat);
    let filled = 0;
    for await (const piece of storage.read()) {
      if (filled + piece.length > storage.bytes)
        this.fail(`${storage.what} has more than its ${counted(storage.bytes, "byte")}`);
      if (dtype === "bool" && !piece.every((byte) => byte <= 1))
        this.fail(`${storage.what}: expected booleans of 0 or 1, got others`);
      writeBytes(flat, filled, piece);
      filled += piece.length;
    }
    if (filled !== storage.bytes) this.fail(`${storage.what} has ${filled} of its ${counted(storage.bytes, "byte")}`);
    return flat;
  }

  /** Frees the flat tensors. The views keep the memory that they share. */
  dispose(): void {
    for (const tensor of this.flat.values()) tensor.dispose();
  }
}
