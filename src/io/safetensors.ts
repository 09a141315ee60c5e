import type { FileHandle } from "node:fs/promises";
import { describeValue, expectMap, expectPath, expectString, objectOf } from "../arguments.ts";
import { replaceFile } from "../atomic-file.ts";
import { counted } from "../counted.ts";
import { BatchCamError } from "../errors.ts";
import type { Tensor } from "../tensor/index.ts";
import { empty } from "../tensor/index.ts";
import { isTensor } from "../tensor/internal.ts";
import { buildHeader, MAX_HEADER_BYTES, parseHeader, type TensorEntry } from "./safetensors-header.ts";
import { quote } from "./safetensors-json.ts";
import { readBytes, readFully, reading, type TensorFile, TensorFiller } from "./tensor-file.ts";

/** Data is written in chunks of this size, so that saving needs almost no memory beyond that of the tensors. */
const CHUNK_BYTES = 4 * 2 ** 20;

/**
 * Reads every tensor of a safetensors file, in the order of its data. The caller disposes of them.
 *
 * @throws E_DATA for a file that is damaged, is something else or has a dtype that the engine does not support; E_IO if
 *   the operating system reports an error
 */
export function loadSafetensors(path: string): Promise<Map<string, Tensor>> {
  return readingSafetensors("loadSafetensors", path, async (file, { entries, dataStart }) => {
    const tensors = new Map<string, Tensor>();
    const filler = new TensorFiller(file);
    try {
      for (const { name, dtype, shape, begin } of entries) {
        const tensor = empty(shape, { dtype });
        tensors.set(name, tensor);
        await filler.fill(tensor, { name, position: dataStart + begin });
      }
      return tensors;
    } catch (error) {
      for (const tensor of tensors.values()) tensor.dispose();
      throw error;
    }
  });
}

/** Reads the `__metadata__` of a safetensors file; empty if it has none. The header is checked, but the tensors are not read. */
export function readSafetensorsMetadata(path: string): Promise<Record<string, string>> {
  return readingSafetensors("readSafetensorsMetadata", path, async (_, { metadata }) => Object.fromEntries(metadata));
}

/**
 * Writes tensors to a safetensors file. The bytes equal those of the reference implementation. An existing file is only
 * replaced when the new one is complete: see `replaceFile`. The tensors must not change until the promise settles.
 *
 * @throws E_IO if the file cannot be written; E_DISPOSED and E_ARGUMENT for tensors and metadata that cannot be saved.
 *   In each case an existing file is kept.
 */
export async function saveSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  expectPath("saveSafetensors: path", path);
  expectMap("saveSafetensors: tensors", tensors);
  const described = Array.from(tensors, ([name, tensor]) => {
    expectString("saveSafetensors: a tensor's name", name);
    expectLive(name, tensor);
    return { name, dtype: tensor.dtype, shape: tensor.shape };
  });
  const { header, entries } = buildHeader(described, objectOf("saveSafetensors: metadata", metadata));
  await replaceFile(path, async (file) => {
    await file.writeFile(header);
    for (const { name, bytes } of entries) {
      const tensor = tensors.get(name) as Tensor;
      expectLive(name, tensor);
      await writeTensor(file, tensor, bytes);
    }
  });
}

interface Content {
  metadata: Map<string, string>;
  entries: TensorEntry[];
  /** Byte offset of the first byte after the header. */
  dataStart: number;
}

function readingSafetensors<T>(
  operation: string,
  path: string,
  use: (file: TensorFile, content: Content) => Promise<T>,
): Promise<T> {
  const remedy = "the file is damaged or not a safetensors file: write or download it again";
  return reading({ operation, path, remedy }, async (file) => use(file, await readHeader(file)));
}

async function readHeader(file: TensorFile): Promise<Content> {
  const { size, fail } = file;
  if (size < 8) fail(`expected at least 8 bytes, got ${size}`);
  const prefix = new Uint8Array(8);
  await readFully(file, prefix, 0);
  const length = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES) fail(`expected a header of at most ${MAX_HEADER_BYTES} bytes, got ${length}`);
  if (length > size - 8) fail(`expected a header of ${counted(length, "byte")}, got a file of ${size}`);
  const header = new Uint8Array(length);
  await readFully(file, header, 8);
  return { ...parseHeader(header, size - 8 - length, fail), dataStart: 8 + length };
}

async function writeTensor(file: FileHandle, tensor: Tensor, bytes: number): Promise<void> {
  const onCpu = tensor.device === "cpu" ? tensor : tensor.to("cpu");
  const plain = onCpu.contiguous();
  try {
    for (let offset = 0; offset < bytes; offset += CHUNK_BYTES) {
      const chunk = new Uint8Array(Math.min(CHUNK_BYTES, bytes - offset));
      readBytes(plain, offset, chunk);
      await file.writeFile(chunk);
    }
  } finally {
    if (plain !== tensor) plain.dispose();
    if (onCpu !== tensor) onCpu.dispose();
  }
}

function expectLive(name: string, tensor: Tensor): void {
  const what = `saveSafetensors: tensor ${quote(name)}`;
  if (!isTensor(tensor))
    throw new BatchCamError("E_ARGUMENT", `${what} must be a Tensor, got ${describeValue(tensor)}`);
  if (tensor.isDisposed) throw new BatchCamError("E_DISPOSED", `${what} is disposed; keep it until it is saved`);
}
