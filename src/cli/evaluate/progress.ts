import type { OutputStream } from "../io.ts";
import { type Counter, createCounter } from "../train/progress.ts";

/**
 * How far an evaluation is: one count for each of its parts, since an image takes another time in each. The time left is that of the part
 * at work, at the rate measured in it.
 */
export class EvaluationProgress {
  readonly #stream: OutputStream;
  #counter: Counter | undefined;

  constructor(stream: OutputStream) {
    this.#stream = stream;
  }

  /**
   * A part whose total its own first report tells.
   *
   * @param what it counts: "images for the accuracy"
   * @returns hears of `count` more of `total` that are done
   */
  part(what: string): (count: number, total: number) => void {
    this.stop();
    return (count, total) => {
      this.#counter ??= createCounter(this.#stream, what, total, { burst: count });
      this.#counter.step(count);
    };
  }

  /** What the metrics of a method's explanations report to: its images, and then the steps of its randomisation check. */
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

  /** Takes the line off the terminal. */
  stop(): void {
    this.#counter?.stop();
    this.#counter = undefined;
  }
}
