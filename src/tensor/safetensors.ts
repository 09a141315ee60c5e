import { type FileHandle, open, stat } from "node:fs/promises";
import { replaceFile } from "../atomic-file.ts";
import { BatchCamError } from "../errors.ts";
import { readBytes, writeBytes } from "./bytes.ts";
import { empty } from "./create.ts";
import { buildHeader, MAX_HEADER_BYTES, parseHeader, type TensorEntry } from "./safetensors-header.ts";
import { quote } from "./safetensors-json.ts";
import { Tensor } from "./tensor.ts";

/** Data passes through one buffer of this size, so that a file needs its tensors' memory and no more. */
const CHUNK_BYTES = 4 * 2 ** 20;

/**
 * Reads every tensor of a safetensors file, in the order of its data. The caller frees them.
 *
 * @throws E_DATA for a file that is damaged, is something else or holds a dtype that the engine lacks; E_IO where the
 * operating system refuses.
 */
export function loadSafetensors(path: string): Promise<Map<string, Tensor>> {
  return reading("loadSafetensors", path, async (file, { entries, dataStart, fail }) => {
    const tensors = new Map<string, Tensor>();
    const buffer = new Uint8Array(entries.reduce((most, { bytes }) => Math.max(most, Math.min(bytes, CHUNK_BYTES)), 0));
    try {
      for (const entry of entries) {
        const tensor = empty(entry.shape, { dtype: entry.dtype });
        tensors.set(entry.name, tensor);
        await fillTensor(tensor, entry, { file, dataStart, buffer, fail });
      }
      return tensors;
    } catch (error) {
      for (const tensor of tensors.values()) tensor.dispose();
      throw error;
    }
  });
}

/** The `__metadata__` of a safetensors file, empty where it has none; the tensors are checked but not read. */
export function readSafetensorsMetadata(path: string): Promise<Record<string, string>> {
  return reading("readSafetensorsMetadata", path, async (_, { metadata }) => Object.fromEntries(metadata));
}

/**
 * Writes tensors as a safetensors file, byte for byte what the reference writer makes of them. The file is replaced only
 * when it is complete: see `replaceFile`. Tensors must stay as they are until the promise settles.
 *
 * @throws E_IO where the file cannot be written; E_DISPOSED and E_ARGUMENT for what cannot be saved. The old file stays.
 */
export async function saveSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const described = Array.from(tensors, ([name, tensor]) => {
    expectLive(name, tensor);
    return { name, dtype: tensor.dtype, shape: tensor.shape };
  });
  const { header, entries } = buildHeader(described, metadata);
  await replaceFile(path, async (file) => {
    await file.writeFile(header);
    for (const { name, bytes } of entries) {
      const tensor = tensors.get(name) as Tensor;
      expectLive(name, tensor);
      await writeTensor(file, tensor, bytes);
    }
  });
}

interface OpenFile {
  metadata: Map<string, string>;
  entries: TensorEntry[];
  /** Position of the first byte after the header. */
  dataStart: number;
  fail: (problem: string) => never;
}

async function reading<T>(
  operation: string,
  path: string,
  use: (file: FileHandle, content: OpenFile) => Promise<T>,
): Promise<T> {
  const fail = (problem: string): never => {
    const remedy = "the file is damaged or no safetensors file: write or fetch it again";
    throw new BatchCamError("E_DATA", `${operation}: ${path}: ${problem}; ${remedy}`);
  };
  try {
    // Looked at before it is opened: opening a named pipe waits for a writer.
    const { size, isFile } = await describeFile(path);
    if (!isFile) fail("expected a regular file, got a folder or a device");
    const file = await open(path, "r");
    try {
      return await use(file, await readHeader(file, size, fail));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!(error instanceof Error && "syscall" in error)) throw error;
    throw new BatchCamError("E_IO", `${operation}: cannot read ${path}: ${error.message}`, { cause: error });
  }
}

async function describeFile(path: string): Promise<{ size: number; isFile: boolean }> {
  const found = await stat(path);
  return { size: found.size, isFile: found.isFile() };
}

async function readHeader(file: FileHandle, size: number, fail: (problem: string) => never): Promise<OpenFile> {
  if (size < 8) fail(`expected at least 8 bytes, got ${size}`);
  const prefix = new Uint8Array(8);
  await readFully(file, { target: prefix, position: 0, fail });
  const length = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES) fail(`expected a header of at most ${MAX_HEADER_BYTES} bytes, got ${length}`);
  if (length > size - 8) fail(`expected a header of ${length} bytes, got a file of ${size}`);
  const header = new Uint8Array(length);
  await readFully(file, { target: header, position: 8, fail });
  return { ...parseHeader(header, size - 8 - length, fail), dataStart: 8 + length, fail };
}

interface Filling {
  file: FileHandle;
  dataStart: number;
  buffer: Uint8Array;
  fail: (problem: string) => never;
}

async function fillTensor(
  tensor: Tensor,
  entry: TensorEntry,
  { file, dataStart, buffer, fail }: Filling,
): Promise<void> {
  for (let offset = 0; offset < entry.bytes; offset += buffer.length) {
    const target = buffer.subarray(0, Math.min(buffer.length, entry.bytes - offset));
    await readFully(file, { target, position: dataStart + entry.begin + offset, fail });
    if (entry.dtype === "bool" && !target.every((byte) => byte <= 1)) {
      fail(`tensor ${quote(entry.name)}: expected BOOL bytes of 0 or 1, got others`);
    }
    writeBytes(tensor, offset, target);
  }
}

async function readFully(
  file: FileHandle,
  { target, position, fail }: { target: Uint8Array; position: number; fail: (problem: string) => never },
): Promise<void> {
  let filled = 0;
  while (filled < target.length) {
    const { bytesRead } = await file.read(target, filled, target.length - filled, position + filled);
    if (bytesRead === 0) fail(`the file ended at ${position + filled} while it was read`);
    filled += bytesRead;
  }
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
  if (!(tensor instanceof Tensor))
    throw new BatchCamError("E_ARGUMENT", `${what} must be a Tensor, got ${typeof tensor}`);
  if (tensor.isDisposed) throw new BatchCamError("E_DISPOSED", `${what} is disposed; keep it until it is saved`);
}
