import type { OutputStream } from "./io.ts";

export interface Counter {
  /** One more is done. */
  step(): void;
  /** Takes the line off the terminal. */
  stop(): void;
}

const REDRAW_MS = 100;
const BAR = 24;

/** A line on a terminal that counts what is done; nothing where output is no terminal. */
export function createCounter(
  stream: OutputStream,
  what: string,
  total: number,
  now = () => performance.now(),
): Counter {
  if (stream.isTTY !== true) return { step: () => {}, stop: () => {} };
  const start = now();
  let done = 0;
  let drawn = Number.NEGATIVE_INFINITY;
  const draw = () => {
    drawn = now();
    const filled = Math.round((BAR * done) / Math.max(1, total));
    const rate = done / Math.max(1e-3, (drawn - start) / 1000);
    const left = Math.round(Math.max(0, total - done) / Math.max(1e-3, rate));
    const text = `${what} [${"=".repeat(filled).padEnd(BAR)}] ${done} of ${total}  ${rate.toFixed(1)}/s  ${left} s left`;
    stream.write(`\r\u001b[2K${text.slice(0, (stream.columns ?? 80) - 1)}`);
  };
  return {
    step() {
      done++;
      if (now() - drawn >= REDRAW_MS || done === total) draw();
    },
    stop() {
      if (drawn > Number.NEGATIVE_INFINITY) stream.write("\r\u001b[2K");
      drawn = Number.NEGATIVE_INFINITY;
    },
  };
}
