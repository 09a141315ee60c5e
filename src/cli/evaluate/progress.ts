import type { OutputStream } from "../io.ts";
import { type Counter, createCounter } from "../train/progress.ts";

/**
 * The progress of an evaluation, as one counter for each of its parts, because an image takes a different time in each part. The time left
 * is that of the current part, at the rate measured in it.
 */
export class EvaluationProgress {
  readonly #stream: OutputStream;
  #counter: Counter | undefined;

  constructor(stream: OutputStream) {
    this.#stream = stream;
  }

  /**
   * Starts a part whose total number is known from its first report.
   * @param what the things it counts: "images for the accuracy"
   * @returns a function to call with the number that was just finished and the total
   */
  part(what: string): (count: number, total: number) => void {
    this.stop();
    return (count, total) => {
      this.#counter ??= createCounter(this.#stream, what, total, { burst: count });
      this.#counter.step(count);
    };
  }

  /** Functions through which a method's metrics report their progress: first its images, then the steps of its randomisation check. */
  method(name: string, images: number): { onImages: (count: number) => void; onRandomised: (total: number) => void } {
    const judged = this.part(`${name}, images`);
    let check: ((count: number, total: number) => void) | undefined;
    return {
      onImages: (count) => judged(count, images),
      onRandomised: (total) => {
        check ??= this.part(`${name}, steps of random weights`);
        check(1, total);
      },
    };
  }

  /** Removes the line from the terminal. */
  stop(): void {
    this.#counter?.stop();
    this.#counter = undefined;
  }
}
