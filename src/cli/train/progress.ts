import { duration } from "../../report/internal.ts";
import type { StartEvent, StepEvent, TrainEvent } from "../../train/index.ts";
import { inFlags } from "../flags.ts";
import type { OutputStream } from "../io.ts";
import { profileLines } from "./profile-lines.ts";
import { balanceLine, endLines, epochLine, liveStepLine, plainStepLine, startLines } from "./progress-lines.ts";

export interface ProgressOptions {
  stdout: OutputStream;
  stderr: OutputStream;
  env: Record<string, string | undefined>;
  /** Milliseconds since an arbitrary moment. */
  now?: () => number;
}

export interface Progress {
  onEvent(event: TrainEvent): void;
  /** Removes the live line from the terminal. It must be called however the run ends. */
  stop(): void;
}

/** Shortest time between two updates of the live line. */
const REDRAW_MS = 100;
/** If the output is not a terminal, a line is written each quarter of an epoch and at least once in this time. */
const PLAIN_LINE_MS = 30_000;

/** Shows the progress of a run: a live line on a terminal, occasional lines elsewhere, and warnings and notes on stderr. */
export function createProgress(options: ProgressOptions): Progress {
  const live = options.stdout.isTTY === true && options.env.TERM !== "dumb";
  const steps = live ? new LiveSteps(options) : new PlainSteps(options);
  const rate = new SteadyRate();
  let start: StartEvent | undefined;
  const line = (text: string) => steps.permanent(() => options.stdout.write(`${text}\n`));
  const onEvent = (event: TrainEvent): void => {
    if (event.type === "start") {
      start = event;
      for (const text of startLines(event)) line(text);
    } else if (event.type === "step" && start) {
      steps.step({ ...event, imagesPerSecond: rate.add(event.imagesPerSecond) }, start);
    } else if (event.type === "epoch") line(epochLine(event.record, event.epochs));
    else if (event.type === "balance") line(balanceLine(event));
    else if (event.type === "profile") for (const text of profileLines(event)) line(text);
    else if (event.type === "warning" || event.type === "note") {
      const head = event.type === "warning" ? warningHead(options) : "note:";
      steps.permanent(() => options.stderr.write(`${head} ${inFlags(event.message)}\n`));
    } else if (event.type === "end") {
      steps.stop();
      for (const text of endLines(event.result)) line(text);
    }
  };
  return { onEvent, stop: () => steps.stop() };
}

function warningHead({ stderr, env }: ProgressOptions): string {
  return stderr.isTTY && coloured(env) ? "\u001b[33mwarning:\u001b[39m" : "warning:";
}

function coloured(env: ProgressOptions["env"]): boolean {
  return !env.NO_COLOR && env.TERM !== "dumb";
}

/** The rate in images per second over the last few steps: an exponential moving average of the time per image, with decay 0.8. */
class SteadyRate {
  #secondsPerImage: number | undefined;

  add(imagesPerSecond: number): number {
    if (!(imagesPerSecond > 0)) return imagesPerSecond;
    const now = 1 / imagesPerSecond;
    this.#secondsPerImage = this.#secondsPerImage === undefined ? now : 0.8 * this.#secondsPerImage + 0.2 * now;
    return 1 / this.#secondsPerImage;
  }
}

class PlainSteps {
  readonly #stdout: OutputStream;
  readonly #now: () => number;
  #lastQuarter = -1;
  #lastTime: number;

  constructor({ stdout, now = () => performance.now() }: ProgressOptions) {
    this.#stdout = stdout;
    this.#now = now;
    this.#lastTime = now();
  }

  step(step: StepEvent, start: StartEvent): void {
    // The last quarter of an epoch gets no line here, because the epoch's own line follows.
    const inside = Math.min(3, Math.floor((step.stepInEpoch / step.stepsPerEpoch) * 4));
    const quarter = step.epoch * 4 + inside;
    if (quarter === this.#lastQuarter && this.#now() - this.#lastTime < PLAIN_LINE_MS) return;
    this.#lastQuarter = quarter;
    this.#lastTime = this.#now();
    this.#stdout.write(`${plainStepLine(step, start)}\n`);
  }

  permanent(write: () => void): void {
    write();
  }

  stop(): void {}
}

class LiveSteps {
  readonly #stdout: OutputStream;
  readonly #now: () => number;
  readonly #coloured: boolean;
  #last: { step: StepEvent; start: StartEvent } | undefined;
  #lastTime = Number.NEGATIVE_INFINITY;
  readonly #onResize = () => this.#draw();

  constructor({ stdout, env, now = () => performance.now() }: ProgressOptions) {
    this.#stdout = stdout;
    this.#now = now;
    this.#coloured = coloured(env);
    stdout.on?.("resize", this.#onResize);
  }

  step(step: StepEvent, start: StartEvent): void {
    this.#last = { step, start };
    const lastOfEpoch = step.stepInEpoch === step.stepsPerEpoch;
    if (!lastOfEpoch && this.#now() - this.#lastTime < REDRAW_MS) return;
    this.#lastTime = this.#now();
    this.#draw();
  }

  permanent(write: () => void): void {
    this.#erase();
    write();
    this.#draw();
  }

  stop(): void {
    this.#erase();
    this.#last = undefined;
    this.#stdout.off?.("resize", this.#onResize);
  }

  #draw(): void {
    if (!this.#last) return;
    // One character is left free, because a full line would wrap, and a wrapped line cannot be redrawn.
    const width = (this.#stdout.columns ?? 80) - 1;
    const text = liveStepLine(this.#last.step, this.#last.start, width);
    this.#erase();
    this.#stdout.write(this.#coloured ? text.replace(/\[=*>?/, "$&\u001b[2m").replace("]", "]\u001b[22m") : text);
  }

  #erase(): void {
    if (this.#last) this.#stdout.write("\r\u001b[2K");
  }
}

export interface Counter {
  /** Reports that `count` more are done, one by default. */
  step(count?: number): void;
  /** Writes lines that are kept, above the live line. */
  above(write: () => void): void;
  /** Removes the line from the terminal. */
  stop(): void;
}

export interface CounterOptions {
  /** How many are finished at the same time, as in a batch. No rate is shown before the first batch is complete. */
  burst?: number;
  /** Milliseconds since an arbitrary moment. */
  now?: () => number;
}

/** Shortest time between two updates of the line on a terminal. */
const COUNTER_REDRAW_MS = 100;
/** Shortest time between two lines if the output is not a terminal. */
const LINE_MS = 10_000;
const BAR = 24;
/** Width of the shortest bar that is shown, in characters. */
const LEAST_BAR = 6;

/** Shows a count of finished items: a live line on a terminal, a plain line every ten seconds elsewhere. */
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
      if (live ? isLast || now() - written >= COUNTER_REDRAW_MS : !isLast && now() - written >= LINE_MS) draw();
    },
    above(write) {
      stop();
      write();
    },
    stop,
  };
}

/** A count with its bar, short enough for one line of the terminal: a wrapped line cannot be redrawn. */
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

/** The rate and the time that is left at this rate; empty while the rate is not known. */
function pace(perSecond: number | null, left: number): string[] {
  if (perSecond === null) return [];
  const rate = perSecond >= 1 ? `${perSecond.toFixed(1)}/s` : `${(1 / perSecond).toFixed(1)} s each`;
  return [rate, `${duration(Math.max(0, left) / perSecond)} left`];
}

/** Shortest time after which a measured rate is shown. */
const LEAST_MS = 1000;

/**
 * The mean rate since the end of the first burst, which includes the loading of data and the engine's warm-up. It is known after a second
 * burst, and at least a second later.
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
