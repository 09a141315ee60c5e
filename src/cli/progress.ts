import type { StartEvent, StepEvent, TrainEvent } from "../train/events.ts";
import { inFlags } from "./flags.ts";
import type { OutputStream } from "./io.ts";
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
