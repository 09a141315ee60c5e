import { duration } from "../report/text/duration.ts";
import type { OutputStream } from "./io.ts";

export interface Counter {
  /** One more is done. */
  step(): void;
  /** Writes lines that stay, above the count. */
  above(write: () => void): void;
  /** Takes the line off the terminal. */
  stop(): void;
}

/** A terminal redraws no faster than this. */
const REDRAW_MS = 100;
/** Elsewhere a line is written no more often than this. */
const LINE_MS = 10_000;
const BAR = 24;

/** Counts what is done: a live line on a terminal, a plain one every ten seconds elsewhere. */
export function createCounter(
  stream: OutputStream,
  what: string,
  total: number,
  now = () => performance.now(),
): Counter {
  const start = now();
  let done = 0;
  let written = start;
  const rate = () => done / Math.max(1e-3, (now() - start) / 1000);
  const left = () => duration(Math.max(0, total - done) / Math.max(1e-3, rate()));
  const text = () => `${done} of ${total}  ${rate().toFixed(1)}/s  ${left()} left`;
  if (stream.isTTY !== true)
    return {
      step() {
        done++;
        if (now() - written < LINE_MS || done === total) return;
        written = now();
        stream.write(`${what} ${text()}\n`);
      },
      above: (write) => write(),
      stop() {},
    };
  let drawn = false;
  const draw = () => {
    const filled = Math.round((BAR * done) / Math.max(1, total));
    const line = `${what} [${"=".repeat(filled).padEnd(BAR)}] ${text()}`;
    stream.write(`\r\u001b[2K${line.slice(0, (stream.columns ?? 80) - 1)}`);
    written = now();
    drawn = true;
  };
  const stop = () => {
    if (drawn) stream.write("\r\u001b[2K");
    drawn = false;
  };
  return {
    step() {
      done++;
      if (now() - written >= REDRAW_MS || done === total) draw();
    },
    above(write) {
      stop();
      write();
    },
    stop,
  };
}
