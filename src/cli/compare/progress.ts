import { counted } from "../../counted.ts";
import { type GridEvent, TimeLeft } from "../../workflows/internal.ts";
import type { OutputStream } from "../io.ts";
import { countLine, type GridCount, runLine, runName, waitingLine } from "./lines.ts";

export interface CompareProgressOptions {
  stdout: OutputStream;
  env: Record<string, string | undefined>;
  jobs: number;
  threads: number;
  /** Milliseconds since an arbitrary moment. */
  now?: () => number;
}

/** Shortest time between two updates of the line on a terminal. */
const REDRAW_MS = 200;
/** Shortest time between two progress lines if the output is not a terminal. */
const PLAIN_LINE_MS = 60_000;

/**
 * Shows the progress of a grid. Each finished run gets a line. The count of finished runs is a line that is redrawn on a terminal, and an
 * occasional line of text elsewhere.
 */
export class CompareProgress {
  readonly #stdout: OutputStream;
  readonly #live: boolean;
  readonly #now: () => number;
  readonly #timeLeft: TimeLeft;
  readonly #manner: string;
  #total = 0;
  #done = 0;
  #failed = 0;
  #written: number;
  #drawn = false;

  constructor({ stdout, env, jobs, threads, now = () => performance.now() }: CompareProgressOptions) {
    this.#stdout = stdout;
    this.#live = stdout.isTTY === true && env.TERM !== "dumb";
    this.#now = now;
    this.#timeLeft = new TimeLeft(jobs, now);
    this.#manner = `${jobs} at a time, ${counted(threads, "thread")} each`;
    this.#written = now();
  }

  onEvent(event: GridEvent): void {
    this.#timeLeft.onEvent(event);
    if (event.type === "begin") {
      this.#total = event.runs.length;
      for (const { status } of event.records) this.#add(status);
      this.#line(
        `${counted(this.#total, "run")}, ${this.#manner}; ${countLine({ ...this.#count(), left: null })} before`,
      );
    } else if (event.type === "end") {
      this.#add(event.record.status);
      this.#line(runLine(event.record, this.#count(), event.seconds));
    } else if (event.type === "stopped") this.#line(`stopped by a signal: ${runName(event.run)}`);
    else if (event.type === "waiting") this.#line(waitingLine(event));
    this.#show();
  }

  /** Removes the redrawn line from the terminal. */
  stop(): void {
    if (this.#drawn) this.#stdout.write("\r\u001b[2K");
    this.#drawn = false;
  }

  #add(status: "done" | "failed"): void {
    if (status === "done") this.#done += 1;
    else this.#failed += 1;
  }

  #count(): GridCount {
    return { total: this.#total, done: this.#done, failed: this.#failed, left: this.#timeLeft.seconds() };
  }

  #line(text: string): void {
    this.stop();
    this.#stdout.write(`${text}\n`);
    if (this.#live) this.#written = Number.NEGATIVE_INFINITY; // draw the count again immediately
  }

  /** Draws the count if enough time has passed since the last time. */
  #show(): void {
    const wait = this.#live ? REDRAW_MS : PLAIN_LINE_MS;
    const { done, failed, total } = this.#count();
    if (this.#now() - this.#written < wait || done + failed === total) return;
    this.#written = this.#now();
    const text = countLine(this.#count());
    if (!this.#live) this.#stdout.write(`${text}\n`);
    else {
      this.stop();
      this.#stdout.write(text.slice(0, (this.#stdout.columns || 80) - 1));
      this.#drawn = true;
    }
  }
}
