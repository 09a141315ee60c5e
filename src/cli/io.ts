import { NOTE } from "../notes.ts";

/** A stream to which a command writes, such as `process.stdout` or a test's array of strings. */
export interface OutputStream {
  write(text: string): unknown;
  isTTY?: boolean | undefined;
  columns?: number | undefined;
  on?(event: "resize", listener: () => void): unknown;
  off?(event: "resize", listener: () => void): unknown;
}

/** A source of signals, such as `process`. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
}

/** Everything of the process that the command line uses. */
export interface CliIo {
  stdout: OutputStream;
  stderr: OutputStream;
  env: Record<string, string | undefined>;
  signals: SignalSource;
  /** Ends the process immediately. */
  exit(code: number): void;
}

/** The input and output of the real process. */
export function processIo(): CliIo {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", onBrokenPipe);
  showWarnings();
  const { stdout, stderr, env } = process;
  return { stdout, stderr, env, signals: process, exit: (code) => process.exit(code) };
}

/** Prints the process's warnings and notes, including libtorch's warnings, in the command line's format instead of Node's. */
function showWarnings(): void {
  if (process.listenerCount("warning") === 0) return; // NODE_NO_WARNINGS is set
  process.removeAllListeners("warning");
  process.on("warning", ({ name, message }) => {
    process.stderr.write(`${name === NOTE ? "note" : "warning"}: ${message}\n`);
  });
}

let complained = false;

// Node reports SIGPIPE as a write error. It is converted back into a signal, so that `train | head` writes a checkpoint as on any other
// signal. An output that cannot be written for another reason, such as a full disk, ends the run in the same way.
function onBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE" && !complained) {
    complained = true;
    process.stderr.write(`batch-cam: cannot write the output: ${error.message}\n`);
  }
  if (!process.emit("SIGPIPE", "SIGPIPE")) process.exit(SIGNAL_EXIT_CODES.SIGPIPE);
}

/** 128 plus the signal's number, as shells report it. */
export const SIGNAL_EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143, SIGPIPE: 141 } as const;
