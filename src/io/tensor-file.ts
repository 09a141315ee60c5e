import { type FileHandle, open } from "node:fs/promises";
import { expectPath } from "../arguments.ts";
import { native } from "../engine/addon.ts";
import { check } from "../engine/dispatch.ts";
import { BatchCamError } from "../errors.ts";
import { NotRegularFile, statRegularFile } from "../regular-file.ts";
import type { Tensor } from "../tensor/index.ts";
import { handleOf } from "../tensor/internal.ts";
import { quote } from "./safetensors-json.ts";

/** What to do about a problem, for some also with the file's path in it. */
export type Remedy = string | ((path: string) => string);

/** Ends the reading with an E_DATA; without a remedy of its own the message says that the file is damaged. */
export type Fail = (problem: string, remedy?: Remedy) => never;

/** A file of tensors, open for reading. */
export interface TensorFile {
  readonly handle: FileHandle;
  readonly size: number;
  readonly fail: Fail;
}

/** Data passes through one buffer of this size, so that a file needs its tensors' memory and no more. */
const CHUNK_BYTES = 4 * 2 ** 20;

/**
 * Opens a regular file for `use`, and closes it. Messages begin with the operation and the path.
 *
 * @throws E_DATA by `fail`; E_IO where the operating system refuses.
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

export async function readFully({ handle, fail }: TensorFile, target: Uint8Array, position: number): Promise<void> {
  let filled = 0;
  while (filled < target.length) {
    const { bytesRead } = await handle.read(target, filled, target.length - filled, position + filled);
    if (bytesRead === 0) fail(`the file ended at ${position + filled} while it was read`);
    filled += bytesRead;
  }
}

/** Fills contiguous tensors from a file, all through the same buffer, which grows as far as they need it. */
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

/** Copies bytes into a contiguous tensor's memory, from byte `offset` on. */
export function writeBytes(tensor: Tensor, offset: number, source: Uint8Array): void {
  check("writeBytes", native.writeBytes(handleOf(tensor, "writeBytes: tensor"), offset, source));
}

/** Copies the tensor's bytes from `offset` on into `target`, all of it. */
export function readBytes(tensor: Tensor, offset: number, target: Uint8Array): void {
  check("readBytes", native.readBytes(handleOf(tensor, "readBytes: tensor"), offset, target));
}
