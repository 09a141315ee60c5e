import { duration } from "../../report/text/duration.ts";
import type { StartEvent, StepEvent, TrainEvent } from "../../train/run/events.ts";
import { inFlags } from "../flags.ts";
import type { OutputStream } from "../io.ts";
import { profileLines } from "./profile-lines.ts";
import { balanceLine, endLines, epochLine, liveStepLine, plainStepLine, startLines } from "./progress-lines.ts";

export interface ProgressOptions {
  stdout: OutputStream;
  stderr: OutputStream;
  env: Record<string, string | undefined>;
  /** Milliseconds, from any origin. */
  now?: () => number;
}

export interface Progress {
  onEvent(event: TrainEvent): void;
  /** Takes the live line off the terminal; call it however the run ends. */
  stop(): void;
}

/** A terminal redraws no faster than this. */
const REDRAW_MS = 100;
/** Where lines stay, one each quarter of an epoch and at least one in this time. */
const PLAIN_LINE_MS = 30_000;

/** Shows a run as it goes: a live line on a terminal, sparse plain lines elsewhere, warnings on stderr. */
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
    else if (event.type === "warning")
      steps.permanent(() => options.stderr.write(`${warningHead(options)} ${inFlags(event.message)}\n`));
    else if (event.type === "end") {
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

/** Images per second over the last few steps: time per image averaged with weights that fall by a fifth each step. */
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
    // The last quarter's end is the epoch's own line.
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
    // A full line would wrap, and a wrapped line cannot be redrawn.
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
const COUNTER_REDRAW_MS = 100;
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
      if (live ? isLast || now() - written >= COUNTER_REDRAW_MS : !isLast && now() - written >= LINE_MS) draw();
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
