import { open } from "node:fs/promises";
import { BatchCamError } from "../errors.ts";
import { NotRegularFile, statRegularFile } from "../regular-file.ts";

/** Largest data file that is read. The arrays of a data set are kept in memory, so larger ones would not be usable. */
const MAX_BYTES = 2 ** 32;

/** The parts of an error message other than the file and the reason. */
export interface ReadContext {
  /** Name of the operation at the start of the message, such as "readIdx". */
  operation: string;
  /** The remedy for a missing or damaged file. */
  remedy: string;
  /** Options that the remedy mentions, as a program writes them. */
  options?: readonly string[];
}

/** Error codes that mean a failure of the machine rather than of the file. Reading the same file later may succeed. */
const OF_THE_MACHINE: ReadonlySet<unknown> = new Set(["EMFILE", "ENFILE", "ENOMEM", "EIO"]);

/**
 * Reads a regular file.
 *
 * @throws E_DATA for a missing, unreadable or too large file, or a folder; E_IO for a failure of the machine. The codes
 *   differ so that a data set that leaves out bad images does not also leave out good ones.
 */
export async function readFileBytes(path: string, context: ReadContext): Promise<Uint8Array> {
  try {
    return await readAll(path, context);
  } catch (error) {
    if (error instanceof BatchCamError) throw error;
    if (error instanceof NotRegularFile) throw dataError(path, error.message, context, error);
    if (OF_THE_MACHINE.has((error as NodeJS.ErrnoException).code)) throw machineError(path, context, error as Error);
    throw unreadable(path, context, error);
  }
}

function machineError(path: string, { operation }: ReadContext, cause: Error): BatchCamError {
  const remedy = "raise the limit on open files with `ulimit -n`, or free memory, and read again";
  return new BatchCamError("E_IO", `${operation}: cannot read ${path}: ${cause.message}; ${remedy}`, { cause });
}

/**
 * An error about one file (E_DATA). Code that knows more about the file can catch it and describe the problem with a
 * shorter path.
 */
export class FileError extends BatchCamError {
  readonly path: string;
  /** The problem, as a clause such as "is empty (0 bytes)". */
  readonly problem: string;

  constructor(path: string, problem: string, { operation, remedy, options }: ReadContext, cause?: ErrorOptions) {
    super("E_DATA", `${operation}: ${path}: ${problem}; ${remedy}`, { ...cause, options });
    this.path = path;
    this.problem = problem;
  }
}

/** Makes an E_DATA error about a file. Its message has the form: operation, file, problem, remedy. */
export function dataError(path: string, problem: string, context: ReadContext, cause?: unknown): FileError {
  return new FileError(path, problem, context, cause === undefined ? undefined : { cause });
}

/** Runs `read`, which lists or finds files. An error of the operating system becomes E_DATA that names the path. */
export async function accessing<T>(path: string, context: ReadContext, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof BatchCamError) throw error;
    throw unreadable(path, context, error);
  }
}

function unreadable(path: string, context: ReadContext, cause: unknown): FileError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return dataError(path, `cannot be read (${reason})`, context, cause);
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
