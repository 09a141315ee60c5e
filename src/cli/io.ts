/** Where a command writes; `process.stdout` is one, and so is a test's array of strings. */
export interface OutputStream {
  write(text: string): unknown;
  isTTY?: boolean | undefined;
  columns?: number | undefined;
  on?(event: "resize", listener: () => void): unknown;
  off?(event: "resize", listener: () => void): unknown;
}

/** Where signals come from; `process` is one. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
}

/** Everything of the process that the command line touches. */
export interface CliIo {
  stdout: OutputStream;
  stderr: OutputStream;
  env: Record<string, string | undefined>;
  signals: SignalSource;
  /** Ends the process at once. */
  exit(code: number): void;
}

/** The real process. */
export function processIo(): CliIo {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", onBrokenPipe);
  showWarnings();
  const { stdout, stderr, env } = process;
  return { stdout, stderr, env, signals: process, exit: (code) => process.exit(code) };
}

/** Prints the process's warnings (libtorch's are among them) as the command line does its own, instead of as Node does. */
function showWarnings(): void {
  if (process.listenerCount("warning") === 0) return; // NODE_NO_WARNINGS
  process.removeAllListeners("warning");
  process.on("warning", ({ message }) => process.stderr.write(`warning: ${message}\n`));
}

let complained = false;

// Node turns SIGPIPE into an error of the write; turned back, `train | head` checkpoints as on any other signal.
// An output that takes nothing more, on a full disk, ends the run the same way.
function onBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE" && !complained) {
    complained = true;
    process.stderr.write(`batch-cam: cannot write the output: ${error.message}\n`);
  }
  if (!process.emit("SIGPIPE", "SIGPIPE")) process.exit(SIGNAL_EXIT_CODES.SIGPIPE);
}

/** 128 + the signal's number, as shells report it. */
export const SIGNAL_EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143, SIGPIPE: 141 } as const;
