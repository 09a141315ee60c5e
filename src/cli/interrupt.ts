import { type CliIo, SIGNAL_EXIT_CODES } from "./io.ts";

type WatchedSignal = keyof typeof SIGNAL_EXIT_CODES;

export interface Interrupt {
  /** Aborts on the first signal. */
  readonly signal: AbortSignal;
  /** The exit code of the signal that was received, 130 for Ctrl-C, or 0 if there was none. */
  exitCode(): number;
  /** Restores the default effect of the signals. */
  stop(): void;
}

/**
 * On the first SIGINT, SIGTERM or SIGHUP (the terminal was closed), aborts the signal, so that the command can stop in order. The second
 * ends the process immediately.
 * @param when when the command will stop, in words
 */
export function watchInterrupts({ signals, stderr, exit }: CliIo, when: string): Interrupt {
  const controller = new AbortController();
  let code = 0;
  const listener = (name: NodeJS.Signals) => {
    const pipe = name === "SIGPIPE";
    if (code !== 0 && !pipe) exit(SIGNAL_EXIT_CODES[name as WatchedSignal]);
    if (code !== 0) return;
    code = SIGNAL_EXIT_CODES[name as WatchedSignal];
    // A terminal prints ^C into the progress line, so the message starts on a new line.
    const lead = stderr.isTTY ? "\n" : "";
    if (!pipe) stderr.write(`${lead}stopping ${when} (press Ctrl-C again to stop at once)\n`);
    controller.abort();
  };
  const names = Object.keys(SIGNAL_EXIT_CODES) as WatchedSignal[];
  for (const name of names) signals.on(name, listener);
  return {
    signal: controller.signal,
    exitCode: () => code,
    stop: () => {
      for (const name of names) signals.off(name, listener);
    },
  };
}
