import { type CliIo, SIGNAL_EXIT_CODES } from "./io.ts";

type WatchedSignal = keyof typeof SIGNAL_EXIT_CODES;

export interface Interrupt {
  /** Aborts at the first signal. */
  readonly signal: AbortSignal;
  /** The exit code of the signal that came, 130 for Ctrl-C; 0 while none has. */
  exitCode(): number;
  /** Gives the signals back their default effect. */
  stop(): void;
}

/**
 * The first SIGINT, SIGTERM or SIGHUP (a terminal that was closed) aborts, so that the command ends in order, `when` it says; the
 * second ends the process at once.
 */
export function watchInterrupts({ signals, stderr, exit }: CliIo, when: string): Interrupt {
  const controller = new AbortController();
  let code = 0;
  const listener = (name: NodeJS.Signals) => {
    const pipe = name === "SIGPIPE";
    if (code !== 0 && !pipe) exit(SIGNAL_EXIT_CODES[name as WatchedSignal]);
    if (code !== 0) return;
    code = SIGNAL_EXIT_CODES[name as WatchedSignal];
    // A terminal shows ^C in the progress line.
    const lead = stderr.isTTY ? "\n" : "";
    if (!pipe) stderr.write(`${lead}stopping ${when} (once more to stop at once)\n`);
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
