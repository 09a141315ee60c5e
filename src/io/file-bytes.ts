import { open } from "node:fs/promises";
import { BatchCamError } from "../errors.ts";
import { NotRegularFile, statRegularFile } from "../regular-file.ts";

/** Largest data file that is read whole; the arrays of a data set live in memory. */
const MAX_BYTES = 2 ** 32;

/** What the reader has to say besides the file and the reason. */
export interface ReadContext {
  /** Name that opens the message, such as "readIdx". */
  operation: string;
  /** What the user can do about a file that is missing or damaged. */
  remedy: string;
}

/** Failures of the machine, not of a file: reading the same file a moment later may succeed. */
const OF_THE_MACHINE: ReadonlySet<unknown> = new Set(["EMFILE", "ENFILE", "ENOMEM", "EIO"]);

/**
 * The whole content of a regular file.
 *
 * @throws E_DATA for a missing, unreadable or too large file, or a folder; E_IO if the machine fails, so that a data set which
 *   leaves out bad images does not leave out good ones
 */
export async function readFileBytes(path: string, context: ReadContext): Promise<Uint8Array> {
  try {
    return await readAll(path, context);
  } catch (error) {
    if (error instanceof BatchCamError) throw error;
    if (error instanceof NotRegularFile) throw dataError(path, error.message, context, error);
    const reason = error instanceof Error ? error.message : String(error);
    if (OF_THE_MACHINE.has((error as NodeJS.ErrnoException).code)) throw machineError(path, reason, context, error);
    throw dataError(path, `cannot be read (${reason})`, context, error);
  }
}

function machineError(path: string, reason: string, { operation }: ReadContext, cause: unknown): BatchCamError {
  const remedy = "raise the limit on open files with `ulimit -n`, or free memory, and read again";
  return new BatchCamError("E_IO", `${operation}: cannot read ${path}: ${reason}; ${remedy}`, { cause });
}

/** E_DATA about one file. Who knows where the file belongs can say it in other words, such as with a path that is shorter. */
export class FileError extends BatchCamError {
  readonly path: string;
  /** What is wrong with it: "is empty (0 bytes)". */
  readonly problem: string;

  constructor(path: string, problem: string, { operation, remedy }: ReadContext, options?: ErrorOptions) {
    super("E_DATA", `${operation}: ${path}: ${problem}; ${remedy}`, options);
    this.path = path;
    this.problem = problem;
  }
}

/** E_DATA in the one sentence form of this folder: operation, file, what is wrong, what to do. */
export function dataError(path: string, problem: string, context: ReadContext, cause?: unknown): FileError {
  return new FileError(path, problem, context, cause === undefined ? undefined : { cause });
}

async function readAll(path: string, context: ReadContext): Promise<Uint8Array> {
  const { size } = await statRegularFile(path);
  if (size > MAX_BYTES) throw dataError(path, `expected at most ${MAX_BYTES} bytes, got ${size}`, context);
  const file = await open(path, "r");
  try {
    const bytes = new Uint8Array(size);
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled);
      if (bytesRead === 0) return bytes.subarray(0, filled);
      filled += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}
