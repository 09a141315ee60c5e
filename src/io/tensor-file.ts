import { open } from "node:fs/promises";
import { expectPath } from "../arguments.ts";
import { check, native } from "../engine/internal.ts";
import { BatchCamError } from "../errors.ts";
import { NotRegularFile, statRegularFile } from "../regular-file.ts";
import type { Tensor } from "../tensor/index.ts";
import { handleOf } from "../tensor/internal.ts";
import { quote } from "./safetensors-json.ts";

/** A remedy for an error message, either fixed or made from the path of the file. */
export type Remedy = string | ((path: string) => string);

/** Throws E_DATA. The default remedy says that the file is damaged. */
export type Fail = (problem: string, remedy?: Remedy) => never;

/** A source of bytes: an open file (`FileHandle`), a part of one, or memory. */
interface ByteSource {
  /** Reads some bytes, at most `length`, into `target` from `offset` on. None are left if it reads 0. */
  read(target: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
}

/** A file of tensors, open for reading. */
export interface TensorFile {
  readonly handle: ByteSource;
  readonly size: number;
  readonly fail: Fail;
}

/** Data is read through one buffer of this size, so that loading needs almost no memory beyond that of the tensors. */
const CHUNK_BYTES = 4 * 2 ** 20;

/**
 * Opens a regular file, calls `use`, and closes the file. Error messages begin with the operation and the path.
 *
 * @throws E_DATA from `fail`; E_IO if the operating system reports an error
 */
export async function reading<T>(
  { operation, path, remedy }: { operation: string; path: string; remedy: string },
  use: (file: TensorFile) => Promise<T>,
): Promise<T> {
  const fail: Fail = (problem, otherRemedy = remedy) => {
    const advice = typeof otherRemedy === "function" ? otherRemedy(path) : otherRemedy;
    throw new BatchCamError("E_DATA", `${operation}: ${path}: ${problem}; ${advice}`);
  };
  expectPath(`${operation}: path`, path);
  try {
    const found = await statRegularFile(path);
    const handle = await open(path, "r");
    try {
      return await use({ handle, size: found.size, fail });
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof NotRegularFile) fail(error.message);
    if (!(error instanceof Error && "syscall" in error)) throw error;
    throw new BatchCamError("E_IO", `${operation}: cannot read ${path}: ${error.message}`, { cause: error });
  }
}

/** A part of a file, as a file of its own. */
export function partOfFile({ handle }: TensorFile, position: number, size: number, fail: Fail): TensorFile {
  const read: ByteSource["read"] = (target, offset, length, at) =>
    handle.read(target, offset, Math.max(0, Math.min(length, size - at)), position + at);
  return { handle: { read }, size, fail };
}

/** Bytes in memory, as a file. */
export function fileOfBytes(bytes: Uint8Array, fail: Fail): TensorFile {
  const read: ByteSource["read"] = async (target, offset, length, at) => {
    const part = bytes.subarray(at, at + length);
    target.set(part, offset);
    return { bytesRead: part.length };
  };
  return { handle: { read }, size: bytes.length, fail };
}

export async function readFully({ handle, fail }: TensorFile, target: Uint8Array, position: number): Promise<void> {
  let filled = 0;
  while (filled < target.length) {
    const { bytesRead } = await handle.read(target, filled, target.length - filled, position + filled);
    if (bytesRead === 0) fail(`the file ended at ${position + filled} while it was read`);
    filled += bytesRead;
  }
}

/** Fills contiguous tensors from a file. All use the same buffer, which grows to the size that they need. */
export class TensorFiller {
  readonly file: TensorFile;
  private buffer = new Uint8Array(0);

  constructor(file: TensorFile) {
    this.file = file;
  }

  async fill(tensor: Tensor, { name, position }: { name: string; position: number }): Promise<void> {
    const bytes = tensor.nbytes;
    const wanted = Math.min(bytes, CHUNK_BYTES);
    if (this.buffer.length < wanted) this.buffer = new Uint8Array(wanted);
    for (let offset = 0; offset < bytes; offset += this.buffer.length) {
      const target = this.buffer.subarray(0, Math.min(this.buffer.length, bytes - offset));
      await readFully(this.file, target, position + offset);
      if (tensor.dtype === "bool" && !target.every((byte) => byte <= 1)) {
        this.file.fail(`tensor ${quote(name)}: expected BOOL bytes of 0 or 1, got others`);
      }
      writeBytes(tensor, offset, target);
    }
  }
}

/** Copies bytes into the memory of a contiguous tensor, starting at the byte `offset`. */
export function writeBytes(tensor: Tensor, offset: number, source: Uint8Array): void {
  check("writeBytes", native.writeBytes(handleOf(tensor, "writeBytes: tensor"), offset, source));
}

/** Fills `target` with bytes of the tensor, starting at the byte `offset`. */
export function readBytes(tensor: Tensor, offset: number, target: Uint8Array): void {
  check("readBytes", native.readBytes(handleOf(tensor, "readBytes: tensor"), offset, target));
}
