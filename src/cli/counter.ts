import { duration } from "../report/text/duration.ts";
import type { OutputStream } from "./io.ts";

export interface Counter {
  /** So many more are done, one by default. */
  step(count?: number): void;
  /** Writes lines that stay, above the count. */
  above(write: () => void): void;
  /** Takes the line off the terminal. */
  stop(): void;
}

export interface CounterOptions {
  /** How many come at once, a batch of them: nothing is said of the rate in the middle of the first ones. */
  burst?: number;
  /** Milliseconds, from any origin. */
  now?: () => number;
}

/** A terminal redraws no faster than this. */
const REDRAW_MS = 100;
/** Elsewhere a line is written no more often than this. */
const LINE_MS = 10_000;
const BAR = 24;
/** Characters of the shortest bar that says anything. */
const LEAST_BAR = 6;

/** Counts what is done: a live line on a terminal, a plain one every ten seconds elsewhere. */
export function createCounter(
  stream: OutputStream,
  what: string,
  total: number,
  { burst = 1, now = () => performance.now() }: CounterOptions = {},
): Counter {
  const rate = new MeasuredRate(burst);
  let done = 0;
  let written = now();
  let drawn = false;
  const live = stream.isTTY === true;
  const text = () => [`${done} of ${total}`, ...pace(rate.perSecond, total - done)].join("  ");
  const draw = () => {
    if (live) stream.write(`\r\u001b[2K${lineOf(what, text(), { share: done / total, columns: stream.columns })}`);
    else stream.write(`${what} ${text()}\n`);
    written = now();
    drawn = live;
  };
  const stop = () => {
    if (drawn) stream.write("\r\u001b[2K");
    drawn = false;
  };
  return {
    step(count = 1) {
      done += count;
      rate.add(done, now());
      const isLast = done >= total;
      if (live ? isLast || now() - written >= REDRAW_MS : !isLast && now() - written >= LINE_MS) draw();
    },
    above(write) {
      stop();
      write();
    },
    stop,
  };
}

/** A count with its bar, in one line of the terminal: a line that wraps cannot be redrawn. */
function lineOf(
  what: string,
  text: string,
  { share, columns = 80 }: { share: number; columns?: number | undefined },
): string {
  const width = Math.max(1, columns - 1);
  const bar = Math.min(BAR, width - what.length - text.length - 4);
  if (bar < LEAST_BAR) return `${what} ${text}`.slice(0, width);
  const filled = Math.round(bar * Math.min(1, share));
  return `${what} [${"=".repeat(filled).padEnd(bar)}] ${text}`;
}

/** How fast it goes, and how long what is left takes at that rate; nothing while the rate is not known. */
function pace(perSecond: number | null, left: number): string[] {
  if (perSecond === null) return [];
  const rate = perSecond >= 1 ? `${perSecond.toFixed(1)}/s` : `${(1 / perSecond).toFixed(1)} s each`;
  return [rate, `${duration(Math.max(0, left) / perSecond)} left`];
}

/** A rate is known once this long has been measured. */
const LEAST_MS = 1000;

/**
 * The mean rate since the first burst ended: the first one carries the loading of data and the engine's warm-up. It is known after a second
 * burst, and no sooner than a second later.
 */
class MeasuredRate {
  readonly #burst: number;
  #first: { done: number; time: number } | undefined;
  #last = { done: 0, time: 0 };

  constructor(burst: number) {
    this.#burst = burst;
  }

  add(done: number, time: number): void {
    this.#last = { done, time };
    if (done >= this.#burst) this.#first ??= this.#last;
  }

  get perSecond(): number | null {
    if (this.#first === undefined) return null;
    const [count, time] = [this.#last.done - this.#first.done, this.#last.time - this.#first.time];
    return count >= this.#burst && time >= LEAST_MS ? count / (time / 1000) : null;
  }
}
